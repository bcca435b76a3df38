import Foundation

/// Lu, Zhou, Bao, Chen, Li & Zhu 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic
/// Models" (arXiv 2211.01095), the multistep data-prediction solvers: 2M is algorithm 2.
///
///     x_t = (σ_t / σ_s)·x_s − α_t·(e^{−h} − 1)·D,   h = λ_t − λ_s
///     first order:  D = x̂₀(s)
///     second order: D = x̂₀(s) + (x̂₀(s) − x̂₀(r)) / (2·ρ),   ρ = (λ_s − λ_r) / h
///
/// | here | paper | meaning |
/// |---|---|---|
/// | alpha, sigma | α, σ | √ᾱ and √(1 − ᾱ); the stored `sigmas` are σ / α |
/// | lambda | λ | log(α / σ) |
/// | outputs | x_θ | estimates of x₀ at past calls, newest last |
///
/// Matches diffusers `DPMSolverMultistepScheduler`, `dpmsolver++`, orders 1 to 3, midpoint and heun, also with
/// `use_karras_sigmas` ("2M Karras"; Karras et al. 2022, eq. 5). Limitations: no noise-prediction and no SDE variants.
/// Where rounding makes two neighbouring times equal (near 1000 steps), the step between them is of lower order, where
/// diffusers divides by zero.
public struct DPMSolverMultistepScheduler: Scheduler {
    /// See `Scheduler`.
    public var timesteps: [Double] { levels.timesteps }
    /// σ / α of each call and the final one.
    public var sigmas: [Float]? { levels.sigmas }
    /// Always 1.
    public let initNoiseSigma: Float = 1
    private let levels: SigmaSchedule
    private let order: Int
    private let heun: Bool
    private let lowerOrderFinal: Bool
    private let lastIsFirstOrder: Bool
    private var outputs: [[Float]] = []

    /// - Throws: `SchedulerError` for a setting or number of steps that cannot be honoured.
    public init(config: SchedulerConfig, steps: Int) throws {
        let algorithm = config.algorithmType ?? "dpmsolver++"
        try unsupported(
            algorithm != "dpmsolver++" && algorithm != "deis", "algorithm_type \(algorithm)", use: "dpmsolver++")
        let schedule = try NoiseSchedule(config)
        let times = try schedule.multistepTimesteps(
            steps: steps, spacing: config.timestepSpacing ?? "linspace", offset: config.stepsOffset ?? 0)
        levels = try SigmaSchedule(
            schedule, times: times, config: config, wholeTimes: config.betaSchedule != "squaredcos_cap_v2")
        order = config.solverOrder ?? 2
        guard (1...3).contains(order) else { throw SchedulerError("solver_order is \(order); use 1, 2 or 3") }
        // UniPC's names stand in its files for what is DPM-Solver's default.
        let solver = config.solverType ?? "midpoint"
        try unsupported(
            !["midpoint", "heun", "bh1", "bh2", "logrho"].contains(solver), "solver_type \(solver)", use: "midpoint")
        heun = solver == "heun"
        let few = steps < 15
        lowerOrderFinal = config.lowerOrderFinal ?? true && few
        lastIsFirstOrder =
            config.eulerAtFinal == true || lowerOrderFinal || (config.finalSigmasType ?? "zero") == "zero"
    }

    /// See `Scheduler`; draws no noise.
    public mutating func step(
        modelOutput: [Float], sample: [Float], at index: Int, noise: () -> [Float]
    ) -> [Float] {
        let (alpha, _) = SigmaSchedule.alphaAndSigma(Double(levels.sigmas[index]))
        let estimate = levels.schedule.originalAndNoise(
            output: modelOutput, sample: sample, alphaBar: alpha * alpha)
        outputs = outputs.suffix(order - 1) + [estimate.original]

        let left = timesteps.count - index  // calls left, with this one
        var wanted = min(order, outputs.count)
        if left == 1, lastIsFirstOrder { wanted = 1 }
        if left == 2, lowerOrderFinal { wanted = min(wanted, 2) }
        return advance(sample, at: index, order: wanted)
    }

    private func advance(_ sample: [Float], at index: Int, order: Int) -> [Float] {
        let (ratioT, ratioS) = (Double(levels.sigmas[index + 1]), Double(levels.sigmas[index]))
        let (alphaT, sigmaT) = SigmaSchedule.alphaAndSigma(ratioT)
        let (_, sigmaS) = SigmaSchedule.alphaAndSigma(ratioS)
        let lambda = (1...3).map { i in
            index + 1 >= i ? SigmaSchedule.lambda(Double(levels.sigmas[index + 1 - i])) : 0
        }
        let h = SigmaSchedule.lambda(ratioT) - lambda[0]
        let phi = expm1(-h)  // e^{−h} − 1
        let newest = outputs.count - 1
        let base = [(sigmaT / sigmaS, sample), (-alphaT * phi, outputs[newest])]
        guard order > 1, h > 0, lambda[0] > lambda[1] else { return combine(base) }

        // First difference over the past step, scaled to this one.
        let r0 = (lambda[0] - lambda[1]) / h
        let first = [(1 / r0, outputs[newest]), (-1 / r0, outputs[newest - 1])]
        let slope = alphaT * (phi / h + 1)
        guard order > 2, lambda[1] > lambda[2] else {
            let factor = heun ? slope : -0.5 * alphaT * phi
            return combine(base + first.map { ($0.0 * factor, $0.1) })
        }

        // Third order: slope D1 and curvature D2 from two differences.
        let r1 = (lambda[1] - lambda[2]) / h
        let second = [(1 / r1, outputs[newest - 1]), (-1 / r1, outputs[newest - 2])]
        let curve = -alphaT * ((phi + h) / (h * h) - 0.5)
        let ofFirst = slope * (1 + r0 / (r0 + r1)) + curve / (r0 + r1)
        let ofSecond = -slope * r0 / (r0 + r1) - curve / (r0 + r1)
        return combine(base + first.map { ($0.0 * ofFirst, $0.1) } + second.map { ($0.0 * ofSecond, $0.1) })
    }

    /// α·x₀ + σ·ε.
    public func addNoise(original: [Float], noise: [Float], timestep: Double) -> [Float] {
        let (alpha, sigma) = SigmaSchedule.alphaAndSigma(levels.sigma(at: timestep))
        return combine((alpha, original), (sigma, noise))
    }

    /// By the call's own σ: rounded times may be equal where σ are not.
    public func addNoise(original: [Float], noise: [Float], at index: Int) -> [Float] {
        let (alpha, sigma) = SigmaSchedule.alphaAndSigma(Double(levels.sigmas[index]))
        return combine((alpha, original), (sigma, noise))
    }
}
