/// Euler's method with ancestral noise: each step goes down past the next noise level, then noise brings it back up to
/// it. Katherine Crowson's k-diffusion, `sample_euler_ancestral` with η = 1; the split is DDPM's posterior (arXiv
/// 2006.11239, eq. 7) written in σ.
///
///     σ_up² = σ'²·(σ² − σ'²) / σ²      σ_down² = σ'² − σ_up²
///     x ← x + (σ_down − σ)·(x − D(x; σ)) / σ + σ_up·z
///
/// | here | k-diffusion | meaning |
/// |---|---|---|
/// | sigma, next | sigma_from, sigma_to | σ, σ' |
/// | up, down | sigma_up, sigma_down | share of new noise, level before it |
/// | original | denoised | D(x; σ) |
///
/// Matches diffusers `EulerAncestralDiscreteScheduler`. Limitations: no zero-terminal-SNR rescaling.
public struct EulerAncestralScheduler: Scheduler {
    /// See `Scheduler`.
    public var timesteps: [Double] { levels.timesteps }
    /// σ of each call and the final one.
    public var sigmas: [Float]? { levels.sigmas }
    /// About 14.6 with Stable Diffusion's schedule.
    public let initNoiseSigma: Float
    private let levels: SigmaSchedule

    /// - Throws: `SchedulerError` for a setting or number of steps that cannot be honoured.
    public init(config: SchedulerConfig, steps: Int) throws {
        let spacing = config.timestepSpacing ?? "linspace"
        let schedule = try NoiseSchedule(config)
        let times = try schedule.fractionalTimesteps(
            steps: steps, spacing: spacing, offset: config.stepsOffset ?? 0)
        var plain = config  // diffusers' class has neither of these settings
        (plain.useKarrasSigmas, plain.finalSigmasType) = (nil, nil)
        levels = try SigmaSchedule(schedule, times: times, config: plain)
        initNoiseSigma = levels.initNoiseSigma(spacing: spacing)
    }

    /// The sample over √(σ² + 1).
    public func scaleModelInput(_ sample: [Float], at index: Int) -> [Float] {
        combine((SigmaSchedule.alphaAndSigma(Double(levels.sigmas[index])).alpha, sample))
    }

    /// See `Scheduler`; draws noise at every call but the last.
    public func step(modelOutput: [Float], sample: [Float], at index: Int, noise: () -> [Float]) -> [Float] {
        let (sigma, next) = (Double(levels.sigmas[index]), Double(levels.sigmas[index + 1]))
        let original = levels.original(output: modelOutput, sample: sample, sigma: sigma)
        let up = max(next * next * (sigma * sigma - next * next) / (sigma * sigma), 0).squareRoot()
        let down = max(next * next - up * up, 0).squareRoot()
        let slope = (down - sigma) / sigma
        guard up > 0 else { return combine((1 + slope, sample), (-slope, original)) }
        return combine((1 + slope, sample), (-slope, original), (up, noise()))
    }

    /// x₀ + σ·ε.
    public func addNoise(original: [Float], noise: [Float], timestep: Double) -> [Float] {
        combine((1, original), (levels.sigma(at: timestep), noise))
    }
}
