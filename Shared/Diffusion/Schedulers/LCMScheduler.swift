/// Luo, Tan, Huang, Li & Zhao 2023, "Latent Consistency Models" (arXiv 2310.04378), algorithm 3: every call jumps to x₀
/// by the consistency function, then noise brings it back to the next time. For models distilled for it, in 1 to 8
/// steps.
///
///     f(x, t) = c_skip(t)·x + c_out(t)·x̂₀           (eq. 9)
///     c_skip = σ² / (τ² + σ²),  c_out = τ / √(τ² + σ²)
///     x_s = √ᾱ_s·f + √(1 − ᾱ_s)·z
///
/// | here | paper | meaning |
/// |---|---|---|
/// | scaled | τ | t × `timestep_scaling` |
/// | dataSigma | σ_data | 0.5 |
/// | original | x̂₀ | the model's estimate at t |
/// | k | k | training steps between two steps of the distillation, T / `original_inference_steps` |
///
/// Matches diffusers `LCMScheduler`. Limitations: no thresholding, no guidance embedding (that is the model's).
public struct LCMScheduler: Scheduler {
    /// A subset of the distillation's times.
    public let timesteps: [Double]
    /// Always 1.
    public let initNoiseSigma: Float = 1
    private let schedule: NoiseSchedule
    private let calls: [Int]
    private let clipRange: Double?
    private let scaling: Double

    /// - Throws: `SchedulerError` for a setting or number of steps that cannot be honoured.
    public init(config: SchedulerConfig, steps: Int) throws {
        schedule = try NoiseSchedule(config, defaults: (0.00085, 0.012, "scaled_linear"))
        try schedule.check(steps: steps)
        let distilled = config.originalInferenceSteps ?? 50
        guard distilled >= 1, distilled <= schedule.count else {
            throw SchedulerError(
                "original_inference_steps is \(distilled); it must lie between 1 and \(schedule.count)")
        }
        guard steps <= distilled else {
            throw SchedulerError(
                "\(steps) steps: lcm takes at most \(distilled), the steps of its distillation "
                    + "(original_inference_steps); 4 to 8 are usual")
        }
        let k = schedule.count / distilled
        let times = (1...distilled).reversed().map { $0 * k - 1 }
        calls = (0..<steps).map { times[$0 * distilled / steps] }
        timesteps = calls.map { Double($0) }
        clipRange = config.clipSample == true ? config.clipSampleRange ?? 1 : nil
        scaling = config.timestepScaling ?? 10
    }

    /// See `Scheduler`; draws noise at every call but the last.
    public func step(modelOutput: [Float], sample: [Float], at index: Int, noise: () -> [Float]) -> [Float] {
        let t = calls[index]
        let alphaBar = schedule.alphaBar(t)
        var original = schedule.originalAndNoise(output: modelOutput, sample: sample, alphaBar: alphaBar).original
        if let clipRange { original = original.clamped(to: clipRange) }

        let dataSigma = 0.5
        let scaled = Double(t) * scaling
        let square = scaled * scaled + dataSigma * dataSigma
        let (skip, out) = (dataSigma * dataSigma / square, scaled / square.squareRoot())

        guard index + 1 < calls.count else { return combine((out, original), (skip, sample)) }
        let next = schedule.alphaBar(calls[index + 1])
        let signal = next.squareRoot()
        return combine((signal * out, original), (signal * skip, sample), ((1 - next).squareRoot(), noise()))
    }

    /// See `Scheduler`.
    public func addNoise(original: [Float], noise: [Float], timestep: Double) -> [Float] {
        schedule.addNoise(original: original, noise: noise, timestep: timestep)
    }
}
