import Foundation

/// Zhao, Bai, Rao, Zhou & Lu 2023, "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion
/// Models" (arXiv 2302.04867), algorithms 1 and 2 with data prediction (appendix, "multistep").
///
///     x_t = (σ_t / σ_s)·x_s − α_t·(e^{−h} − 1)·m₀ − α_t·B(h)·Σ_k ρ_k·D_k
///     D_k = (m_k − m₀) / r_k,   r_k = (λ_k − λ_s) / h,   Σ_k r_k^{i−1}·ρ_k = b_i
///
/// | here | paper | meaning |
/// |---|---|---|
/// | outputs | m | estimates of x₀ at past calls, newest last |
/// | b | φ_i·i! / B(h) | right-hand side of the order conditions (eq. 5) |
/// | B(h) | B(h) | −h for `bh1`, e^{−h} − 1 for `bh2` |
/// | corrector | UniC | the same with the new estimate as one more point, k such that r = 1 |
///
/// Matches diffusers `UniPCMultistepScheduler`, orders 1 to 3. Limitations: `predict_x0` only, no inner `solver_p`.
/// Where rounding makes two neighbouring times equal (near 1000 steps), the step between them is of lower order, where
/// diffusers divides by zero.
public struct UniPCScheduler: Scheduler {
    /// See `Scheduler`.
    public var timesteps: [Double] { levels.timesteps }
    /// σ / α of each call and the final one.
    public var sigmas: [Float]? { levels.sigmas }
    /// Always 1.
    public let initNoiseSigma: Float = 1
    private let levels: SigmaSchedule
    private let order: Int
    private let linearB: Bool
    private let lowerOrderFinal: Bool
    private let uncorrected: Set<Int>
    private var outputs: [[Float]] = []
    /// The corrected sample that the last prediction started from, and that prediction's order.
    private var last: (sample: [Float], order: Int)?

    /// - Throws: `SchedulerError` for a setting or number of steps that cannot be honoured.
    public init(config: SchedulerConfig, steps: Int) throws {
        try unsupported(config.predictX0 == false, "predict_x0 false", use: "true")
        let schedule = try NoiseSchedule(config)
        let times = try schedule.multistepTimesteps(
            steps: steps, spacing: config.timestepSpacing ?? "linspace", offset: config.stepsOffset ?? 0)
        levels = try SigmaSchedule(schedule, times: times, config: config, wholeTimes: true)
        order = config.solverOrder ?? 2
        guard (1...3).contains(order) else { throw SchedulerError("solver_order is \(order); use 1, 2 or 3") }
        // DPM-Solver's names stand in its files for what is UniPC's default.
        let solver = config.solverType ?? "bh2"
        try unsupported(
            !["bh1", "bh2", "midpoint", "heun", "logrho"].contains(solver), "solver_type \(solver)", use: "bh2")
        linearB = solver == "bh1"
        lowerOrderFinal = config.lowerOrderFinal ?? true
        uncorrected = Set(config.disableCorrector ?? [])
    }

    /// See `Scheduler`; draws no noise.
    public mutating func step(
        modelOutput: [Float], sample: [Float], at index: Int, noise: () -> [Float]
    ) -> [Float] {
        // 1. estimate of x₀ at the predicted sample
        let (alpha, _) = SigmaSchedule.alphaAndSigma(Double(levels.sigmas[index]))
        let estimate = levels.schedule.originalAndNoise(
            output: modelOutput, sample: sample, alphaBar: alpha * alpha
        ).original

        // 2. corrector: the last step again, now that the estimate at its end is known
        var sample = sample
        if let last, !uncorrected.contains(index - 1), levels.sigmas[index - 1] > levels.sigmas[index] {
            sample = update(last.sample, from: index - 1, order: last.order, end: estimate)
        }

        // 3. predictor
        outputs = outputs.suffix(order - 1) + [estimate]
        let left = timesteps.count - index
        let wanted = min(lowerOrderFinal ? min(order, left) : order, outputs.count)
        last = (sample, wanted)
        return update(sample, from: index, order: wanted, end: nil)
    }

    /// One step from `sigmas[index]` to the next: a correction where the estimate at its `end` is given, else a
    /// prediction.
    private func update(_ x: [Float], from index: Int, order: Int, end: [Float]?) -> [Float] {
        let (ratioT, ratioS) = (Double(levels.sigmas[index + 1]), Double(levels.sigmas[index]))
        guard ratioS > ratioT else { return x }
        let (alphaT, sigmaT) = SigmaSchedule.alphaAndSigma(ratioT)
        let (_, sigmaS) = SigmaSchedule.alphaAndSigma(ratioS)
        let lambdaS = SigmaSchedule.lambda(ratioS)
        let h = SigmaSchedule.lambda(ratioT) - lambdaS
        let phi = expm1(-h)
        let newest = outputs.count - 1
        let base = [(sigmaT / sigmaS, x), (-alphaT * phi, outputs[newest])]

        // Points of the interpolation: past calls, and the end of the step for the corrector.
        var (rates, points) = ([Double](), [[Float]]())
        for i in 1..<max(order, 1) where newest >= i {
            let rate = (SigmaSchedule.lambda(Double(levels.sigmas[index - i])) - lambdaS) / h
            guard rate < 0 else { break }
            rates.append(rate)
            points.append(outputs[newest - i])
        }
        if let end {
            rates.append(1)
            points.append(end)
        }
        guard !rates.isEmpty else { return combine(base) }

        let scale = linearB ? -h : phi
        let weights = Self.weights(rates, h: h, scale: scale)
        var sum = 0.0
        var terms: [(Double, [Float])] = base
        for (k, point) in points.enumerated() {
            let factor = -alphaT * scale * weights[k] / rates[k]
            terms.append((factor, point))
            sum += factor
        }
        terms.append((-sum, outputs[newest]))
        return combine(terms)
    }

    /// ρ of the order conditions. A single point has the closed form ½ in place of its exact solution, as in the
    /// authors' code.
    private static func weights(_ rates: [Double], h: Double, scale: Double) -> [Double] {
        guard rates.count > 1 else { return [0.5] }
        let count = rates.count
        var (matrix, b) = ([[Double]](), [Double]())
        var (phi, factorial) = (expm1(-h) / -h - 1, 1.0)
        for i in 1...count {
            matrix.append(rates.map { pow($0, Double(i - 1)) })
            b.append(phi * factorial / scale)
            factorial *= Double(i + 1)
            phi = phi / -h - 1 / factorial
        }
        return solve(matrix, b)
    }

    /// Gaussian elimination with pivoting, for at most 3 unknowns.
    private static func solve(_ matrix: [[Double]], _ right: [Double]) -> [Double] {
        var (a, b) = (matrix, right)
        let n = b.count
        for column in 0..<n {
            let pivot = (column..<n).max { abs(a[$0][column]) < abs(a[$1][column]) } ?? column
            a.swapAt(column, pivot)
            b.swapAt(column, pivot)
            for row in (column + 1)..<max(n, column + 1) {
                let factor = a[row][column] / a[column][column]
                for k in column..<n { a[row][k] -= factor * a[column][k] }
                b[row] -= factor * b[column]
            }
        }
        for row in (0..<n).reversed() {
            for k in (row + 1)..<max(n, row + 1) { b[row] -= a[row][k] * b[k] }
            b[row] /= a[row][row]
        }
        return b
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
