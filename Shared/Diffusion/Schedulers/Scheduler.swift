/// A sampler of the reverse diffusion process: which noise levels are visited, and how one model output leads from a
/// level to the next. A value type: a copy is a second, independent run.
///
/// Latents are flat `[Float]`, in any layout: every operation is elementwise. One run is
///
///     var sampler = try makeScheduler(name: "ddim", config: config, steps: 30)
///     var x = noise.map { $0 * sampler.initNoiseSigma }
///     for (i, t) in sampler.timesteps.enumerated() {
///         let output = model(sampler.scaleModelInput(x, at: i), t)
///         x = sampler.step(modelOutput: output, sample: x, at: i, noise: drawGaussian)
///     }
///
/// `timesteps` may have more entries than the steps asked for: Heun and PNDM call the model more than once for some.
public protocol Scheduler: Sendable {
    /// Time given to the model at each call, largest first. Whole numbers except for Euler's and Heun's.
    var timesteps: [Double] { get }
    /// Standard deviation of the starting noise, which is a standard normal sample times this.
    var initNoiseSigma: Float { get }
    /// Noise levels σ = √((1 − ᾱ) / ᾱ), one for each call and the final one; nil for samplers that work on ᾱ alone.
    var sigmas: [Float]? { get }

    /// Calls that one step takes, but for the last: 2 for Heun's, else 1 (diffusers' `order`).
    var callsPerStep: Int { get }

    /// What the model is to see for a sample at call `index`.
    func scaleModelInput(_ sample: [Float], at index: Int) -> [Float]

    /// One call's update. Calls must come in the order of `timesteps`, each once; image-to-image leaves the first ones out.
    /// - Parameters:
    ///   - modelOutput: the model's output (after guidance), as many numbers as `sample`.
    ///   - sample: the current sample, unscaled.
    ///   - index: the call's place in `timesteps`.
    ///   - noise: draws standard normal noise of the sample's size; called only where the sampler needs it.
    /// - Returns: the sample for the next call.
    mutating func step(
        modelOutput: [Float], sample: [Float], at index: Int, noise: () -> [Float]
    ) -> [Float]

    /// The sample that forward diffusion reaches at `timestep`, as image-to-image and training need it.
    /// `timestep` is a training step, 0 ..< num_train_timesteps, or an entry of `timesteps`.
    func addNoise(original: [Float], noise: [Float], timestep: Double) -> [Float]

    /// The sample that forward diffusion reaches at call `index`: `addNoise` at its time, where two calls may share one.
    func addNoise(original: [Float], noise: [Float], at index: Int) -> [Float]
}

extension Scheduler {
    /// The sample as it is: right for every sampler whose x is √ᾱ·x₀ + √(1 − ᾱ)·ε.
    public func scaleModelInput(_ sample: [Float], at index: Int) -> [Float] { sample }

    /// No sigmas.
    public var sigmas: [Float]? { nil }

    /// One.
    public var callsPerStep: Int { 1 }

    /// At the call's time.
    public func addNoise(original: [Float], noise: [Float], at index: Int) -> [Float] {
        addNoise(original: original, noise: noise, timestep: timesteps[index])
    }
}

/// Σ aᵢ·xᵢ, elementwise, summed in double precision: the one operation all samplers are made of.
func combine(_ terms: (Double, [Float])...) -> [Float] { combine(terms) }

/// As above, for a number of terms that is not known beforehand.
func combine(_ terms: [(Double, [Float])]) -> [Float] {
    guard let count = terms.first?.1.count else { return [] }
    for term in terms {
        precondition(term.1.count == count, "sampler inputs differ in size: \(term.1.count) and \(count)")
    }
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
        for i in 0..<count {
            var sum = 0.0
            for (factor, values) in terms { sum += factor * Double(values[i]) }
            buffer[i] = Float(sum)
        }
        initialized = count
    }
}
