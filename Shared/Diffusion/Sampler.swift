public import TensorEngine

/// The reverse process with classifier-free guidance: from noise to a latent.
///
/// One picture at a time: a picture's bits then depend on nothing but its own seed and settings, however a batch is
/// split over workers.
public struct Sampler: Sendable {
    let unet: UNet2DConditionModel
    let conditioning: Conditioning
    let guidanceScale: Float

    /// - Parameters:
    ///   - conditioning: rows [unconditional, conditional], or one conditional row
    ///   - guidanceScale: w of ε = ε(uncond) + w · (ε(cond) − ε(uncond)), the paper's eq. 11
    public init(unet: UNet2DConditionModel, conditioning: Conditioning, guidanceScale: Float) {
        (self.unet, self.conditioning, self.guidanceScale) = (unet, conditioning, guidanceScale)
    }

    /// Standard normal latent noise [1, height, width, 4] of a picture's seed: number i of the Philox stream is element
    /// i in the order [channel, row, column] of diffusers' latents.
    public static func noise(seed: UInt64, stream: UInt64 = 0, channels: Int, height: Int, width: Int) -> Tensor {
        Tensor(
            Philox(seed: seed, stream: stream).normal(channels * height * width), shape: [1, channels, height, width]
        )
        .channelsLast()
    }

    /// The part of the run in which the image half of the conditioning counts, as fractions of the calls: call i of n counts
    /// if it lies wholly inside, i / n ≥ start and (i + 1) / n ≤ end (diffusers' `control_guidance_start` and `_end`).
    public var imageRange: (start: Double, end: Double) = (0, 1)

    /// Where the steps' activations are; one of its own unless a longer-lived one is given.
    public var activations = ActivationArena()

    /// Runs the whole schedule, or what a picture to start from leaves of it.
    ///
    /// - Parameters:
    ///   - noise: standard normal, [1, h, w, 4]
    ///   - scheduler: a fresh one
    ///   - picture: what is changed, and the steps that the scheduler was made with; nil for a picture from noise
    ///   - draw: standard normal noise for the scheduler's call i, for samplers that add some
    ///   - onStep: told the number of calls done and the latent; throwing stops the run
    /// - Returns: the latent, still times the VAE's scaling factor
    public func callAsFunction(
        from noise: Tensor, _ scheduler: any Scheduler, picture: (start: PictureStart, steps: Int)? = nil,
        draw: (Int) -> Tensor, onStep: (Int, Tensor) throws -> Void = { _, _ in }
    ) rethrows -> Tensor {
        var scheduler = scheduler
        let first = picture.map { $0.start.firstCall(scheduler, steps: $0.steps) } ?? 0
        let calls = scheduler.timesteps.count - first
        let textAlone = conditioning.withoutImage

        // 1. start at the schedule's largest noise level, or the picture's
        var latent = picture?.start.noised(noise, scheduler, at: first) ?? noise.scaled(by: scheduler.initNoiseSigma)
        for i in first..<scheduler.timesteps.count {
            // 2. the same latent for all rows of the conditioning
            var input = Tensor(scheduler.scaleModelInput(latent.scalars, at: i), shape: latent.shape)
            if let channels = picture?.start.channels { input = .concatenated(input, channels) }

            // 3. predict the noise
            let (begin, end) = (Double(i - first) / Double(calls), Double(i - first + 1) / Double(calls))
            let withImage = begin >= imageRange.start && end <= imageRange.end
            let condition = withImage ? conditioning : textAlone
            let prediction = activations(input.shape + condition.sizes) {
                unet(input, timesteps: [Float(scheduler.timesteps[i])], condition)
            }

            // 4. guidance
            let guided =
                conditioning.rows == 1
                ? prediction : prediction[0..<1].blended(1 - guidanceScale, guidanceScale, with: prediction[1..<2])

            // 5. one step back; what a mask keeps comes from the picture
            let next = scheduler.step(
                modelOutput: guided.scalars, sample: latent.scalars, at: i, noise: { draw(i).scalars })
            latent = Tensor(next, shape: latent.shape)
            if let start = picture?.start { latent = start.kept(latent, noise, scheduler, before: i + 1) }
            try onStep(i - first + 1, latent)
        }
        return latent
    }
}
