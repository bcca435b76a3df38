/// Song, Meng & Ermon 2021, "Denoising Diffusion Implicit Models" (arXiv 2010.02502), eq. 12 and 16.
///
///     x_s = √ᾱ_s·x₀ + √(1 − ᾱ_s − σ²)·ε + σ·z
///     σ = η·√((1 − ᾱ_s) / (1 − ᾱ_t))·√(1 − ᾱ_t / ᾱ_s)
///
/// | here | paper | meaning |
/// |---|---|---|
/// | alphaBar at t | α_t | the paper writes α for DDPM's ᾱ |
/// | s | t − 1 | t less T / steps, whatever the spacing |
/// | eta | η | 0: no noise, deterministic; 1: DDPM's variance |
/// | finalAlphaBar | α_0 | ᾱ before the first training step: 1, or ᾱ₀ where `set_alpha_to_one` is false |
///
/// Matches diffusers `DDIMScheduler`. Limitations: no thresholding, no re-derived ε after clipping.
public struct DDIMScheduler: Scheduler {
    /// See `Scheduler`.
    public let timesteps: [Double]
    /// Always 1.
    public let initNoiseSigma: Float = 1
    private let schedule: NoiseSchedule
    private let calls: [Int]
    private let stride: Int
    private let finalAlphaBar: Double
    private let clipRange: Double?
    private let eta: Double

    /// - Parameter eta: η, from 0 (deterministic) to 1 (as noisy as DDPM).
    /// - Throws: `SchedulerError` for a setting or number of steps that cannot be honoured.
    public init(config: SchedulerConfig, steps: Int, eta: Double = 0) throws {
        guard eta >= 0, eta <= 1 else { throw SchedulerError("eta is \(eta); it must lie between 0 and 1") }
        schedule = try NoiseSchedule(config)
        calls = try schedule.timesteps(
            steps: steps, spacing: config.timestepSpacing ?? "leading", offset: config.stepsOffset ?? 0)
        timesteps = calls.map { Double($0) }
        stride = schedule.count / steps
        finalAlphaBar = config.setAlphaToOne ?? true ? 1 : schedule.alphaBar(0)
        clipRange = config.clipSample ?? true ? config.clipSampleRange ?? 1 : nil
        self.eta = eta
    }

    /// See `Scheduler`.
    public func step(modelOutput: [Float], sample: [Float], at index: Int, noise: () -> [Float]) -> [Float] {
        let t = calls[index]
        let barT = schedule.alphaBar(t)
        let barS = schedule.alphaBar(t - stride, before: finalAlphaBar)

        // 1. x₀ and ε
        var (original, direction) = schedule.originalAndNoise(output: modelOutput, sample: sample, alphaBar: barT)
        if let clipRange { original = original.clamped(to: clipRange) }

        // 2. σ (eq. 16)
        let variance = (1 - barS) / (1 - barT) * (1 - barT / barS)
        let sigma = eta * max(variance, 0).squareRoot()

        // 3. x_s (eq. 12)
        let toNoise = max(1 - barS - sigma * sigma, 0).squareRoot()
        guard sigma > 0 else { return combine((barS.squareRoot(), original), (toNoise, direction)) }
        return combine((barS.squareRoot(), original), (toNoise, direction), (sigma, noise()))
    }

    /// See `Scheduler`.
    public func addNoise(original: [Float], noise: [Float], timestep: Double) -> [Float] {
        schedule.addNoise(original: original, noise: noise, timestep: timestep)
    }
}
