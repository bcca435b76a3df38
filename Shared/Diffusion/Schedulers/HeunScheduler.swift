/// Heun's second-order method on the probability-flow ODE in σ: Karras et al. 2022 (arXiv 2206.00364), algorithm 1.
///
///     d  = (x − D(x; σ)) / σ           x' = x + (σ' − σ)·d
///     d' = (x' − D(x'; σ')) / σ'       x ← x + (σ' − σ)·(d + d') / 2
///
/// | here | paper | meaning |
/// |---|---|---|
/// | even calls | lines 4–5 | Euler's trial step from σ to σ' |
/// | odd calls | lines 7–8 | the same step again, with the mean of both slopes |
/// | last call | line 6 | σ' = 0 has no second half |
///
/// n steps are 2n − 1 calls of the model. Matches diffusers `HeunDiscreteScheduler` (also with `use_karras_sigmas`).
/// Limitations: no churn; as there, `linspace` with a single step starts at the *smallest* σ.
public struct HeunScheduler: Scheduler {
    /// 2·steps − 1 times; every one but the first twice.
    public let timesteps: [Double]
    /// σ of each call and the final one.
    public var sigmas: [Float]? { perCall }
    /// About 14.6 with Stable Diffusion's schedule.
    public let initNoiseSigma: Float
    /// 2.
    public let callsPerStep = 2
    private let levels: SigmaSchedule
    private let perCall: [Float]
    private let clipRange: Double?
    /// Where the trial step started, and its slope.
    private var trial: (sample: [Float], slope: [Float])?

    /// - Throws: `SchedulerError` for a setting or number of steps that cannot be honoured.
    public init(config: SchedulerConfig, steps: Int) throws {
        let spacing = config.timestepSpacing ?? "linspace"
        let schedule = try NoiseSchedule(config, defaults: (0.00085, 0.012, "linear"))
        let times = try schedule.fractionalTimesteps(
            steps: steps, spacing: spacing, offset: config.stepsOffset ?? 0)
        var plain = config  // diffusers' class always ends at zero
        plain.finalSigmasType = nil
        levels = try SigmaSchedule(schedule, times: times, config: plain, karrasRangeOfTimes: true)
        initNoiseSigma = levels.initNoiseSigma(spacing: spacing)
        timesteps = levels.timesteps.prefix(1) + levels.timesteps.dropFirst().flatMap { [$0, $0] }
        perCall = levels.sigmas.prefix(1) + levels.sigmas.dropFirst().dropLast().flatMap { [$0, $0] } + [0]
        clipRange = config.clipSample == true ? config.clipSampleRange ?? 1 : nil
    }

    /// The sample over √(σ² + 1).
    public func scaleModelInput(_ sample: [Float], at index: Int) -> [Float] {
        combine((SigmaSchedule.alphaAndSigma(Double(perCall[index])).alpha, sample))
    }

    /// See `Scheduler`; draws no noise.
    public mutating func step(
        modelOutput: [Float], sample: [Float], at index: Int, noise: () -> [Float]
    ) -> [Float] {
        let sigma = Double(perCall[index])
        var original = levels.original(output: modelOutput, sample: sample, sigma: sigma)
        if let clipRange { original = original.clamped(to: clipRange) }
        let slope = combine((1 / sigma, sample), (-1 / sigma, original))

        guard let first = trial else {
            trial = (sample, slope)
            if index + 1 == timesteps.count { trial = nil }
            return combine((1, sample), (Double(perCall[index + 1]) - sigma, slope))
        }
        trial = nil
        let half = (sigma - Double(perCall[index - 1])) / 2
        return combine((1, first.sample), (half, first.slope), (half, slope))
    }

    /// x₀ + σ·ε.
    public func addNoise(original: [Float], noise: [Float], timestep: Double) -> [Float] {
        combine((1, original), (levels.sigma(at: timestep), noise))
    }
}
