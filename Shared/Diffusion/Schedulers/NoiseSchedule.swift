import Foundation

/// The training process's noise schedule and what a model's output means in it; shared by all samplers.
///
///     x_t = √ᾱ_t·x₀ + √(1 − ᾱ_t)·ε        (DDPM, arXiv 2006.11239, eq. 4)
///
/// | here | paper | diffusers |
/// |---|---|---|
/// | betas | β_t | `betas` |
/// | alphasCumprod | ᾱ_t = ∏ (1 − β_s) | `alphas_cumprod` |
/// | sigma | √((1 − ᾱ_t) / ᾱ_t), the noise level of x_t / √ᾱ_t | `sigmas` |
///
/// The tables are kept in single precision, as diffusers keeps them, so that trajectories agree.
struct NoiseSchedule: Sendable {
    /// What the model was trained to predict.
    enum Prediction: String { case epsilon, sample, velocity = "v_prediction" }

    let betas: [Float]
    let alphasCumprod: [Float]
    let prediction: Prediction

    /// Steps of training, T.
    var count: Int { betas.count }

    /// - Parameter defaults: the sampler's own (β₁, β_T, schedule), for keys that the file lacks.
    init(
        _ config: SchedulerConfig, defaults: (start: Double, end: Double, schedule: String) = (0.0001, 0.02, "linear")
    ) throws {
        let count = config.trainedBetas?.count ?? config.numTrainTimesteps ?? 1000
        guard count > 0, count <= 1_000_000 else {
            throw SchedulerError(
                "scheduler_config.json: num_train_timesteps is \(count); it must be 1 to 1000000 (Stable Diffusion "
                    + "uses 1000)")
        }
        guard (0..<count).contains(config.stepsOffset ?? 0) else {
            throw SchedulerError(
                "scheduler_config.json: steps_offset is \(config.stepsOffset ?? 0); it must be 0 to \(count - 1) (Stable "
                    + "Diffusion uses 1)")
        }
        betas = try Self.betas(config, count: count, defaults: defaults)
        guard betas.allSatisfy({ $0 > 0 && $0 < 1 }) else {
            throw SchedulerError(
                "betas must lie between 0 and 1; look at beta_start, beta_end and trained_betas in scheduler_config.json"
            )
        }
        var product = 1.0
        alphasCumprod = betas.map { beta in
            product *= Double(1 - beta)
            return Float(product)
        }
        try unsupported(config.rescaleBetasZeroSNR == true, "rescale_betas_zero_snr true", use: "false")
        try unsupported(config.thresholding == true, "thresholding true", use: "false (it is not for latents)")
        let name = config.predictionType ?? "epsilon"
        guard let prediction = Prediction(rawValue: name) else {
            throw SchedulerError(
                "scheduler_config.json: prediction_type \(name) is unknown; use epsilon, sample or v_prediction")
        }
        self.prediction = prediction
    }

    private static func betas(
        _ config: SchedulerConfig, count: Int, defaults: (start: Double, end: Double, schedule: String)
    ) throws -> [Float] {
        if let trained = config.trainedBetas { return trained.map { Float($0) } }
        let (start, end) = (config.betaStart ?? defaults.start, config.betaEnd ?? defaults.end)
        let schedule = config.betaSchedule ?? defaults.schedule
        switch schedule {
        case "linear":
            return linspace(start, end, count).map { Float($0) }
        case "scaled_linear":  // latent diffusion's: square of a line between square roots
            return linspace(start.squareRoot(), end.squareRoot(), count).map { Float($0) * Float($0) }
        case "squaredcos_cap_v2":  // arXiv 2102.09672, eq. 17, capped at 0.999
            func alphaBar(_ t: Double) -> Double { pow(cos((t + 0.008) / 1.008 * .pi / 2), 2) }
            return (0..<count).map { i in
                let (from, to) = (Double(i) / Double(count), Double(i + 1) / Double(count))
                return Float(min(1 - alphaBar(to) / alphaBar(from), 0.999))
            }
        default:
            throw SchedulerError(
                "scheduler_config.json: beta_schedule \(schedule) is unknown; use linear, scaled_linear or squaredcos_cap_v2"
            )
        }
    }

    /// ᾱ at a training step; `before` (usually 1) for the step before the first.
    func alphaBar(_ t: Int, before: Double = 1) -> Double { t < 0 ? before : Double(alphasCumprod[t]) }

    /// σ at each training step, ascending.
    var trainingSigmas: [Double] { alphasCumprod.map { ((1 - Double($0)) / Double($0)).squareRoot() } }

    /// x₀ and ε that a model output stands for, at x = √ᾱ·x₀ + √(1 − ᾱ)·ε.
    func originalAndNoise(
        output: [Float], sample: [Float], alphaBar: Double
    ) -> (original: [Float], noise: [Float]) {
        let (a, b) = (alphaBar.squareRoot(), (1 - alphaBar).squareRoot())
        switch prediction {
        case .epsilon: return (combine((1 / a, sample), (-b / a, output)), output)
        case .sample: return (output, combine((1 / b, sample), (-a / b, output)))
        // Progressive distillation, arXiv 2202.00512, appendix D: v = √ᾱ·ε − √(1 − ᾱ)·x₀.
        case .velocity: return (combine((a, sample), (-b, output)), combine((a, output), (b, sample)))
        }
    }

    /// √ᾱ·x₀ + √(1 − ᾱ)·ε at a training step.
    func addNoise(original: [Float], noise: [Float], timestep: Double) -> [Float] {
        let t = Int(timestep)
        precondition(t >= 0 && t < count, "timestep \(timestep) is outside 0 ..< \(count)")
        let alphaBar = alphaBar(t)
        return combine((alphaBar.squareRoot(), original), ((1 - alphaBar).squareRoot(), noise))
    }

    /// Checks the number of steps asked for.
    func check(steps: Int) throws {
        guard steps >= 1, steps <= count else {
            throw SchedulerError(
                "\(steps) steps: ask for 1 to \(count), the number of steps that the model was trained with "
                    + "(num_train_timesteps in scheduler_config.json)")
        }
    }

    /// Whole timesteps, largest first, by one of the spacings of arXiv 2305.08891, table 2.
    ///
    /// With `leading`, an offset that would reach past the last training step (only where as many steps are asked for
    /// as there are) is left out: T steps are then T − 1 … 0, the whole chain. diffusers fails there.
    func timesteps(steps: Int, spacing: String, offset: Int) throws -> [Int] {
        try check(steps: steps)
        switch spacing {
        case "leading":
            let ratio = count / steps
            let largest = (steps - 1) * ratio
            let shift = largest + offset < count ? offset : count - 1 - largest
            return (0..<steps).reversed().map { $0 * ratio + shift }
        case "linspace":
            return linspace(0, Double(count - 1), steps).reversed().map { Int($0.rounded(.toNearestOrEven)) }
        case "trailing":
            let ratio = Double(count) / Double(steps)
            return (0..<steps).map { Int((Double(count) - Double($0) * ratio).rounded(.toNearestOrEven)) - 1 }
        default:
            throw SchedulerError(
                "scheduler_config.json: timestep_spacing \(spacing) is unknown; use leading, linspace or trailing")
        }
    }
}

/// `count` evenly spaced values from `start` to `end`, both included. Multiples of one step, in NumPy's order of
/// operations: steps that fall on a half then round to the same training step as in diffusers.
func linspace(_ start: Double, _ end: Double, _ count: Int) -> [Double] {
    guard count > 1 else { return count == 1 ? [start] : [] }
    let step = (end - start) / Double(count - 1)
    return (0..<count).map { $0 == count - 1 ? end : Double($0) * step + start }
}

/// Throws where a configuration asks for something that is not there.
func unsupported(_ condition: Bool, _ setting: String, use remedy: String) throws {
    guard !condition else {
        throw SchedulerError(
            "scheduler_config.json: \(setting) is not supported by this sampler; set it to \(remedy), "
                + "or choose another sampler")
    }
}

extension Array where Element == Float {
    /// Each value limited to ±range.
    func clamped(to range: Double) -> [Float] {
        let limit = Float(range)
        return map { Swift.min(Swift.max($0, -limit), limit) }
    }
}

extension SchedulerConfig {
    /// ᾱ of every training step.
    public func alphasCumprod() throws -> [Float] { try NoiseSchedule(self).alphasCumprod }

    /// Whether the model is trained to predict v rather than ε.
    /// - Throws: `SchedulerError` for a model that predicts x₀, which is not trained here
    public func predictsVelocity() throws -> Bool {
        switch try NoiseSchedule(self).prediction {
        case .epsilon: false
        case .velocity: true
        case .sample:
            throw SchedulerError("scheduler_config.json: models of prediction_type sample can draw but not be trained")
        }
    }
}
