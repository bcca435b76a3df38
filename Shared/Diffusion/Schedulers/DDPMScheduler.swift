/// Ancestral sampling of Ho, Jain & Abbeel 2020, "Denoising Diffusion Probabilistic Models" (arXiv 2006.11239): the
/// reverse posterior of eq. 6 and 7 with x₀ estimated from the model's noise (eq. 15), on the way from call to call.
/// Likeness's paper gives the same reverse process as its eq. 10.
///
///     μ(x_t, x₀) = √ᾱ_s·β / (1 − ᾱ_t) · x₀ + √α·(1 − ᾱ_s) / (1 − ᾱ_t) · x_t
///     x_s = μ + √β̃·z,   β̃ = (1 − ᾱ_s) / (1 − ᾱ_t) · β
///
/// | here | paper | meaning |
/// |---|---|---|
/// | t, s | t, t − 1 | this call's training step and the next call's (none after the last: ᾱ_s = 1) |
/// | alpha, beta | α_t, β_t | ᾱ_t / ᾱ_s and its complement, for a jump from t to s |
/// | variance | β̃_t | posterior variance, `fixed_small` |
///
/// Matches diffusers `DDPMScheduler`. Limitations: `variance_type` fixed_small and fixed_large only; a learned variance
/// and thresholding are refused.
public struct DDPMScheduler: Scheduler {
    /// See `Scheduler`.
    public let timesteps: [Double]
    /// Always 1.
    public let initNoiseSigma: Float = 1
    private let schedule: NoiseSchedule
    private let calls: [Int]
    private let clipRange: Double?
    private let largeVariance: Bool

    /// - Throws: `SchedulerError` for a setting or number of steps that cannot be honoured.
    public init(config: SchedulerConfig, steps: Int) throws {
        schedule = try NoiseSchedule(config)
        calls = try schedule.timesteps(
            steps: steps, spacing: config.timestepSpacing ?? "leading", offset: config.stepsOffset ?? 0)
        timesteps = calls.map { Double($0) }
        clipRange = config.clipSample ?? true ? config.clipSampleRange ?? 1 : nil
        let variance = config.varianceType ?? "fixed_small"
        try unsupported(
            variance != "fixed_small" && variance != "fixed_large", "variance_type \(variance)", use: "fixed_small")
        largeVariance = variance == "fixed_large"
    }

    /// See `Scheduler`.
    public func step(modelOutput: [Float], sample: [Float], at index: Int, noise: () -> [Float]) -> [Float] {
        let t = calls[index]
        let s = index + 1 < calls.count ? calls[index + 1] : -1
        let (barT, barS) = (schedule.alphaBar(t), schedule.alphaBar(s))
        let alpha = barT / barS
        let beta = 1 - alpha

        // 1. x₀ (eq. 15)
        var original = schedule.originalAndNoise(output: modelOutput, sample: sample, alphaBar: barT).original
        if let clipRange { original = original.clamped(to: clipRange) }

        // 2. posterior mean (eq. 7)
        let fromOriginal = barS.squareRoot() * beta / (1 - barT)
        let fromSample = alpha.squareRoot() * (1 - barS) / (1 - barT)

        // 3. noise, none where the posterior is certain
        let variance = largeVariance ? (t > 0 ? beta : 0) : (1 - barS) / (1 - barT) * beta
        guard variance > 0 else { return combine((fromOriginal, original), (fromSample, sample)) }
        return combine((fromOriginal, original), (fromSample, sample), (variance.squareRoot(), noise()))
    }

    /// See `Scheduler`.
    public func addNoise(original: [Float], noise: [Float], timestep: Double) -> [Float] {
        schedule.addNoise(original: original, noise: noise, timestep: timestep)
    }
}
