/// Liu, Ren, Lin & Zhao 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds" (arXiv 2202.09778): linear
/// multistep (PLMS) over past noise estimates, with the transfer of eq. 11 (φ) in place of a straight step.
///
///     φ(x, ε, t, s) = √(ᾱ_s / ᾱ_t)·x − (ᾱ_s − ᾱ_t)·ε / (ᾱ_t·√(1 − ᾱ_s) + √(ᾱ_t·(1 − ᾱ_t)·ᾱ_s))
///     ε' = (55 ε_t − 59 ε_{t+δ} + 37 ε_{t+2δ} − 9 ε_{t+3δ}) / 24        (eq. 12)
///
/// | here | paper | meaning |
/// |---|---|---|
/// | history | e_t, e_{t+δ}, … | noise estimates, newest last |
/// | stride | δ | T / steps |
/// | rungeKuttaCalls | | calls of the Runge-Kutta start (PRK, eq. 13), none with `skip_prk_steps` |
///
/// Matches diffusers `PNDMScheduler`: with `skip_prk_steps` the start is a second-order pair (n steps are n + 1 calls),
/// without it twelve calls of Runge-Kutta. A run that starts later (image-to-image) counts its calls from there, as
/// diffusers does: its second call goes over the first step again, whose time is then not given twice. Limitations:
/// epsilon and v-prediction only.
public struct PNDMScheduler: Scheduler {
    /// See `Scheduler`; some times come twice or more.
    public let timesteps: [Double]
    /// Always 1.
    public let initNoiseSigma: Float = 1
    private let schedule: NoiseSchedule
    private let calls: [Int]
    private let rungeKuttaCalls: Int
    private let stride: Int
    private let finalAlphaBar: Double
    private var history: [[Float]] = []
    /// The first call of this run; image-to-image starts later than 0.
    private var begin: Int?
    /// Runge-Kutta's weighted sum of estimates so far.
    private var sum: [Float] = []
    /// Where the step that is under way started.
    private var start: [Float] = []

    /// - Throws: `SchedulerError` for a setting or number of steps that cannot be honoured.
    public init(config: SchedulerConfig, steps: Int) throws {
        schedule = try NoiseSchedule(config)
        try unsupported(schedule.prediction == .sample, "prediction_type sample", use: "epsilon")
        let times = try schedule.timesteps(
            steps: steps, spacing: config.timestepSpacing ?? "leading", offset: config.stepsOffset ?? 0)
        let stride = schedule.count / steps
        let calls: [Int]
        finalAlphaBar = config.setAlphaToOne ?? false ? 1 : schedule.alphaBar(0)
        if config.skipPRKSteps ?? false {
            // The second time comes twice: its first visit is a trial that the second corrects.
            calls = times.count > 1 ? [times[0], times[1]] + times.dropFirst() : times
            rungeKuttaCalls = 0
        } else {
            guard steps >= 4 else {
                throw SchedulerError(
                    "\(steps) steps: pndm with skip_prk_steps false takes at least 4; "
                        + "set skip_prk_steps to true for fewer")
            }
            // Each Runge-Kutta step visits its start, twice its middle, and its end.
            let start = (0..<3).flatMap { i in
                let middle = times[i + 1] + stride / 2
                return [times[i], middle, middle, times[i + 1]]
            }
            calls = start + times.dropFirst(3)
            rungeKuttaCalls = start.count
        }
        (self.stride, self.calls) = (stride, calls)
        timesteps = calls.map { Double($0) }
    }

    /// See `Scheduler`; draws no noise.
    public mutating func step(
        modelOutput: [Float], sample: [Float], at index: Int, noise: () -> [Float]
    ) -> [Float] {
        let first = begin ?? index
        begin = first
        return index < rungeKuttaCalls
            ? rungeKutta(modelOutput, sample, index)
            : multistep(modelOutput, sample, index - max(first, rungeKuttaCalls), index)
    }

    private mutating func rungeKutta(_ output: [Float], _ sample: [Float], _ index: Int) -> [Float] {
        let t = calls[index / 4 * 4]
        switch index % 4 {
        case 0:
            history.append(output)
            (start, sum) = (sample, combine((1.0 / 6, output)))
            return transfer(start, output, from: t, to: t - stride / 2)
        case 1:
            sum = combine((1, sum), (1.0 / 3, output))
            return transfer(start, output, from: t, to: calls[index])
        case 2:
            sum = combine((1, sum), (1.0 / 3, output))
            return transfer(start, output, from: t, to: calls[index] - stride / 2)
        default:
            return transfer(start, combine((1, sum), (1.0 / 6, output)), from: t, to: calls[index])
        }
    }

    private mutating func multistep(
        _ output: [Float], _ sample: [Float], _ count: Int, _ index: Int
    ) -> [Float] {
        let t = calls[index]
        // Second visit of a Runge-Kutta-free start: repeat the first step with the mean of both estimates.
        if rungeKuttaCalls == 0, count == 1, let first = history.last {
            return transfer(start, combine((0.5, output), (0.5, first)), from: t + stride, to: t)
        }
        if count == 0 { start = sample }
        history = history.suffix(3) + [output]
        let newest = Array(history.reversed())
        let weights: [Double]
        switch newest.count {  // Adams-Bashforth
        case 1: weights = [1]
        case 2: weights = [3.0 / 2, -1.0 / 2]
        case 3: weights = [23.0 / 12, -16.0 / 12, 5.0 / 12]
        default: weights = [55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24]
        }
        return transfer(sample, combine(Array(zip(weights, newest))), from: t, to: t - stride)
    }

    /// φ of eq. 11.
    private func transfer(_ sample: [Float], _ output: [Float], from t: Int, to s: Int) -> [Float] {
        let barT = schedule.alphaBar(t)
        let barS = schedule.alphaBar(s, before: finalAlphaBar)
        var noise = output
        if schedule.prediction == .velocity {
            noise = combine((barT.squareRoot(), output), ((1 - barT).squareRoot(), sample))
        }
        let divisor = barT * (1 - barS).squareRoot() + (barT * (1 - barT) * barS).squareRoot()
        return combine(((barS / barT).squareRoot(), sample), (-(barS - barT) / divisor, noise))
    }

    /// See `Scheduler`.
    public func addNoise(original: [Float], noise: [Float], timestep: Double) -> [Float] {
        schedule.addNoise(original: original, noise: noise, timestep: timestep)
    }
}
