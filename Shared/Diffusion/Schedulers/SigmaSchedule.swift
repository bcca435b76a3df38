import Foundation

/// Noise levels and times of a sampler that works on σ = √((1 − ᾱ) / ᾱ), as Euler's, Heun's, DPM-Solver's and UniPC do.
struct SigmaSchedule: Sendable {
    let schedule: NoiseSchedule
    /// σ of each call, largest first, and the final one.
    let sigmas: [Float]
    /// Time of each call.
    let timesteps: [Double]

    /// σ at the given times, which may lie between training steps; or Karras's σ, whose times are then looked up.
    /// - Parameters:
    ///   - times: as many as steps, largest first.
    ///   - karrasRange: σ between which the Karras spacing runs, as diffusers chooses it: DPM-Solver and UniPC the
    ///     training's whole range (nil), Euler and Heun the given times'.
    ///   - wholeTimes: rounds looked-up times to whole training steps.
    init(
        _ schedule: NoiseSchedule, times: [Double], config: SchedulerConfig, karrasRangeOfTimes: Bool = false,
        wholeTimes: Bool = false
    ) throws {
        self.schedule = schedule
        try unsupported(config.useExponentialSigmas == true, "use_exponential_sigmas true", use: "false")
        try unsupported(config.useBetaSigmas == true, "use_beta_sigmas true", use: "false")
        try unsupported(config.useLuLambdas == true, "use_lu_lambdas true", use: "false")
        try unsupported(config.useFlowSigmas == true, "use_flow_sigmas true", use: "false")

        let training = schedule.trainingSigmas
        var (levels, times) = (times.map { Self.interpolate(training, at: $0) }, times)
        if config.useKarrasSigmas == true {
            let inner = karrasRangeOfTimes ? levels : training.reversed()
            levels = Self.karras(
                from: config.sigmaMax ?? inner.first ?? 1, to: config.sigmaMin ?? inner.last ?? 1, count: times.count)
            let logarithms = training.map { log($0) }
            times = levels.map { Self.time(of: $0, logarithms: logarithms) }
            if wholeTimes { times = times.map { $0.rounded(.toNearestOrEven) } }
        }
        let last: Double
        switch config.finalSigmasType ?? "zero" {
        case "zero": last = 0
        case "sigma_min": last = training[0]
        case let other: throw SchedulerError("final_sigmas_type \(other) is unknown; use zero or sigma_min")
        }
        sigmas = (levels + [last]).map { Float($0) }
        timesteps = times.map { Double(Float($0)) }
    }

    /// Starting standard deviation of samplers whose x is x₀ + σ·ε: the largest σ; where the spacing leaves the noisiest
    /// step out, what keeps the variance right.
    func initNoiseSigma(spacing: String) -> Float {
        let largest = sigmas.max() ?? 1
        return spacing == "leading" ? (largest * largest + 1).squareRoot() : largest
    }

    /// σ at a time: the sampler's own where it is one of its times, else the training's.
    func sigma(at timestep: Double) -> Double {
        if let index = timesteps.firstIndex(where: { abs($0 - timestep) < 1e-4 }) { return Double(sigmas[index]) }
        return Self.interpolate(schedule.trainingSigmas, at: timestep)
    }

    /// x₀ that a model output stands for, at x = x₀ + σ·ε, where the model saw x / √(σ² + 1).
    func original(output: [Float], sample: [Float], sigma: Double) -> [Float] {
        let scale = sigma * sigma + 1
        switch schedule.prediction {
        case .epsilon: return combine((1, sample), (-sigma, output))
        case .sample: return output
        case .velocity: return combine((1 / scale, sample), (-sigma / scale.squareRoot(), output))
        }
    }

    /// √ᾱ and √(1 − ᾱ) at a σ.
    static func alphaAndSigma(_ sigma: Double) -> (alpha: Double, sigma: Double) {
        let alpha = 1 / (sigma * sigma + 1).squareRoot()
        return (alpha, sigma * alpha)
    }

    /// Half the logarithm of the signal-to-noise ratio, λ = log(√ᾱ / √(1 − ᾱ)) = −log σ.
    static func lambda(_ sigma: Double) -> Double { -log(sigma) }

    /// Karras et al. 2022 (arXiv 2206.00364), eq. 5, with ρ = 7.
    private static func karras(from largest: Double, to smallest: Double, count: Int) -> [Double] {
        let rho = 7.0
        return linspace(pow(largest, 1 / rho), pow(smallest, 1 / rho), count).map { pow($0, rho) }
    }

    /// The time whose log σ, drawn as straight lines between training steps, is σ's.
    private static func time(of sigma: Double, logarithms: [Double]) -> Double {
        guard logarithms.count > 1 else { return 0 }
        let wanted = log(max(sigma, 1e-10))
        let above = logarithms.firstIndex { $0 > wanted } ?? logarithms.count
        let low = min(max(above - 1, 0), logarithms.count - 2)
        let share = (wanted - logarithms[low]) / (logarithms[low + 1] - logarithms[low])
        return Double(low) + min(max(share, 0), 1)
    }

    private static func interpolate(_ values: [Double], at position: Double) -> Double {
        let clamped = min(max(position, 0), Double(values.count - 1))
        let low = min(Int(clamped), max(values.count - 2, 0))
        guard low + 1 < values.count else { return values[low] }
        return values[low] + (clamped - Double(low)) * (values[low + 1] - values[low])
    }
}

extension NoiseSchedule {
    /// Times of Euler's and Heun's samplers, which may fall between training steps.
    func fractionalTimesteps(steps: Int, spacing: String, offset: Int) throws -> [Double] {
        guard spacing == "linspace" else {
            return try timesteps(steps: steps, spacing: spacing, offset: offset).map { Double($0) }
        }
        try check(steps: steps)
        return linspace(0, Double(count - 1), steps).reversed().map { Double(Float($0)) }
    }

    /// Times of the multistep solvers: they leave the last training step, which is nearly clean, to the final σ.
    func multistepTimesteps(steps: Int, spacing: String, offset: Int) throws -> [Double] {
        try check(steps: steps)
        switch spacing {
        case "linspace":
            return linspace(0, Double(count - 1), steps + 1).dropFirst().reversed()
                .map { $0.rounded(.toNearestOrEven) }
        case "leading":
            let ratio = count / (steps + 1)
            guard ratio > 0 else {
                throw SchedulerError(
                    "\(steps) steps: this sampler takes at most \(count - 1) with timestep_spacing leading")
            }
            return (1...steps).reversed().map { Double(min($0 * ratio + offset, count - 1)) }
        default:
            return try timesteps(steps: steps, spacing: spacing, offset: offset).map { Double($0) }
        }
    }
}
