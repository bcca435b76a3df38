/// Euler's method on the probability-flow ODE in σ: Karras, Aittala, Aila & Laine 2022, "Elucidating the Design Space
/// of Diffusion-Based Generative Models" (arXiv 2206.00364), algorithm 2 without churn and without its second half.
///
///     d = (x − D(x; σ)) / σ            x ← x + (σ' − σ)·d
///
/// | here | paper | meaning |
/// |---|---|---|
/// | x | x | x₀ + σ·ε, not scaled to unit variance |
/// | original | D(x; σ) | the denoised sample |
/// | sigmas[i], sigmas[i + 1] | t_i, t_{i+1} | this noise level and the next |
/// | scaleModelInput | c_in | 1 / √(σ² + 1) |
///
/// Matches diffusers `EulerDiscreteScheduler` (also with `use_karras_sigmas`), s_churn 0. Limitations: linear
/// interpolation and discrete times only. As there, `linspace` with a single step starts at the *smallest* σ.
public struct EulerScheduler: Scheduler {
    /// See `Scheduler`.
    public var timesteps: [Double] { levels.timesteps }
    /// σ of each call and the final one.
    public var sigmas: [Float]? { levels.sigmas }
    /// About 14.6 with Stable Diffusion's schedule.
    public let initNoiseSigma: Float
    private let levels: SigmaSchedule

    /// - Throws: `SchedulerError` for a setting or number of steps that cannot be honoured.
    public init(config: SchedulerConfig, steps: Int) throws {
        try unsupported(
            (config.interpolationType ?? "linear") != "linear", "interpolation_type \(config.interpolationType ?? "")",
            use: "linear")
        try unsupported(
            (config.timestepType ?? "discrete") != "discrete", "timestep_type \(config.timestepType ?? "")",
            use: "discrete")
        let spacing = config.timestepSpacing ?? "linspace"
        let schedule = try NoiseSchedule(config)
        let times = try schedule.fractionalTimesteps(
            steps: steps, spacing: spacing, offset: config.stepsOffset ?? 0)
        levels = try SigmaSchedule(schedule, times: times, config: config, karrasRangeOfTimes: true)
        initNoiseSigma = levels.initNoiseSigma(spacing: spacing)
    }

    /// The sample over √(σ² + 1).
    public func scaleModelInput(_ sample: [Float], at index: Int) -> [Float] {
        combine((SigmaSchedule.alphaAndSigma(Double(levels.sigmas[index])).alpha, sample))
    }

    /// See `Scheduler`; draws no noise.
    public func step(modelOutput: [Float], sample: [Float], at index: Int, noise: () -> [Float]) -> [Float] {
        let (sigma, next) = (Double(levels.sigmas[index]), Double(levels.sigmas[index + 1]))
        let original = levels.original(output: modelOutput, sample: sample, sigma: sigma)
        let slope = (next - sigma) / sigma
        return combine((1 + slope, sample), (-slope, original))
    }

    /// x₀ + σ·ε.
    public func addNoise(original: [Float], noise: [Float], timestep: Double) -> [Float] {
        combine((1, original), (levels.sigma(at: timestep), noise))
    }
}
