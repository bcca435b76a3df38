internal import Checkpoint
public import Diffusion
public import IPAdapter
public import ImageIO
public import TensorEngine

/// Text states and image tokens → a picture. The same inputs give the same bytes.
public struct PicturePipeline: Sendable {
    /// The denoiser; a person's own for DreamBooth.
    public var unet: UNet2DConditionModel
    let vae: AutoencoderKL
    let adapter: IPAdapterModel
    /// W'k, W'v trained together with self-attention; nil where the folder has none of its own.
    let selfAttentionAdapter: IPAdapterModel?
    let schedule: SchedulerConfig

    /// How a picture is sampled.
    public struct Sampling: Sendable {
        /// The sampler, with the model's own schedule.
        public var scheduler: SchedulerKind
        /// Denoising steps.
        public var steps: Int
        /// w of ε(uncond) + w · (ε(cond) − ε(uncond)); 1 computes no unconditional row.
        public var guidanceScale: Float
        /// λ of decoupled cross-attention.
        public var ipAdapterScale: Float
        /// λ by layer, in place of `ipAdapterScale`.
        public var layerScales: LayerScales?
        /// Fractions of the calls between which λ counts (`Sampler.imageRange`).
        public var ipAdapterRange: (start: Double, end: Double) = (0, 1)
        /// How much of `Inputs.picture` is changed, 0 … 1.
        public var strength = 1.0
        /// Pixels; nil for the model's own size.
        public var height, width: Int?

        /// All of them.
        public init(
            scheduler: SchedulerKind = .ddim, steps: Int = 30, guidanceScale: Float = 7.5, ipAdapterScale: Float = 1,
            height: Int? = nil, width: Int? = nil
        ) {
            (self.scheduler, self.steps, self.guidanceScale) = (scheduler, steps, guidanceScale)
            (self.ipAdapterScale, self.height, self.width) = (ipAdapterScale, height, width)
        }
    }

    /// What a picture is made from.
    public struct Inputs: Sendable {
        /// Text states of the prompt and of the negative prompt, [77, cross_attention_dim] each; more where a prompt is
        /// longer than the tower reads at once, and then of the same length.
        let prompt, negativePrompt: Tensor
        /// Image tokens [2, T, cross_attention_dim], unconditional first; nil for a picture from text alone.
        let tokens: Tensor?
        /// How the tokens were aggregated.
        let aggregation: Aggregation?
        /// A picture to change rather than making one from nothing: image-to-image, or with a mask inpainting. Both are
        /// resized to the result's size as Pillow's Lanczos does it (diffusers' `VaeImageProcessor`).
        public var picture: RGBImage?
        /// White (128 and more) where the picture is drawn anew, black where it is kept. What is kept still goes through the
        /// autoencoder, as in diffusers by default: it looks the same but is not the same bytes.
        public var mask: RGBImage?

        /// All of them.
        ///
        /// - Parameter empty: states of an empty prompt [77, cross_attention_dim]; the shorter prompt is made as long as
        ///   the other one with them
        public init(
            prompt: Tensor, negativePrompt: Tensor, empty: Tensor? = nil, tokens: Tensor? = nil,
            aggregation: Aggregation? = nil
        ) {
            let length = max(prompt.shape[0], negativePrompt.shape[0])
            func filled(_ states: Tensor) -> Tensor {
                guard let empty, states.shape[0] < length else { return states }
                let missing = (length - states.shape[0]) / empty.shape[0]
                return .stacked([states] + Array(repeating: empty, count: missing))
            }
            (self.prompt, self.negativePrompt) = (filled(prompt), filled(negativePrompt))
            (self.tokens, self.aggregation) = (tokens, aggregation)
        }
    }

    /// Loads what the pictures need.
    ///
    /// - Parameter adapted: for pictures of people; without, a FaceID adapter's LoRA is left out
    public init(_ folder: PipelineFolder, adapted: Bool = true) throws {
        unet = try adapted ? folder.adaptedUNet() : folder.unet()
        vae = try folder.vae()
        adapter = try folder.adapter(for: unet)
        selfAttentionAdapter = try folder.selfAttentionAdapter(for: unet)
        schedule = try folder.schedulerConfig()
    }

    /// Makes a picture.
    ///
    /// - Parameter onStep: told steps done and steps in all; throwing stops the picture
    public func callAsFunction(
        _ sampling: Sampling, seed: UInt64, _ inputs: Inputs, onStep: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> RGBImage {
        picture(of: try latent(sampling, seed: seed, inputs, onStep: onStep))
    }

    /// The picture of a latent.
    public func picture(of latent: Tensor) -> RGBImage {
        RGBImage(
            decoded: Self.activations([0] + latent.shape) {
                vae.decode(latent.scaled(by: 1 / vae.config.scalingFactor))
            })
    }

    /// Of steps and decoding, which are never needed at once: one for all models of the process.
    private static let activations = ActivationArena()

    /// The latent [1, height / f, width / f, 4] that a picture is decoded from, still times the VAE's scaling factor.
    ///
    /// - Parameter start: standard normal noise of that shape to start from; nil for the seed's own
    public func latent(
        _ sampling: Sampling, seed: UInt64, _ inputs: Inputs, from start: Tensor? = nil,
        onStep: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> Tensor {
        let scheduler = try makeScheduler(sampling.scheduler, config: schedule, steps: sampling.steps)

        // At most 1 means no guidance, as in diffusers: the unconditional row is not computed.
        let rows = sampling.guidanceScale > 1 ? 2 : 1
        let states = Tensor.stacked([inputs.negativePrompt, inputs.prompt].map { $0.reshaped([1] + $0.shape) })
        guard states.shape[2] == unet.config.crossAttentionDim else {
            throw CheckpointError(
                "the prompt's embedding is \(states.shape[2]) wide, the UNet reads \(unet.config.crossAttentionDim): "
                    + "encoder and denoiser run with different LIKENESS_MODELS")
        }
        let own = inputs.aggregation?.needsSelfAttention == true ? selfAttentionAdapter : nil
        let scales = try (sampling.layerScales ?? .number(sampling.ipAdapterScale)).resolved(for: unet)
        let image = inputs.tokens.map { (own ?? adapter).conditioned(on: $0[2 - rows..<2], scales: scales) }
        var sampler = Sampler(
            unet: unet, conditioning: unet.conditioning(states[2 - rows..<2], adapter: image),
            guidanceScale: sampling.guidanceScale)
        sampler.imageRange = sampling.ipAdapterRange
        sampler.activations = Self.activations

        let f = vae.config.downscale
        let (height, width) = (
            start?.shape[1] ?? sampling.height.map { $0 / f } ?? unet.config.sampleSize,
            start?.shape[2] ?? sampling.width.map { $0 / f } ?? unet.config.sampleSize
        )
        // Stream 0 of the seed is the starting noise, stream i + 1 what the scheduler adds at call i, and two far away are
        // the autoencoder's samples of a given picture.
        func noise(_ stream: UInt64) -> Tensor {
            Sampler.noise(
                seed: seed, stream: stream, channels: vae.config.latentChannels, height: height, width: width)
        }
        let given = try self.start(inputs, strength: sampling.strength, height: height * f, width: width * f) {
            noise(1 << 33 + UInt64($0))
        }
        let calls = scheduler.timesteps.count - (given?.firstCall(scheduler, steps: sampling.steps) ?? 0)
        return try sampler(
            from: start ?? noise(0), scheduler, picture: given.map { ($0, sampling.steps) },
            draw: { noise(UInt64($0) + 1) }
        ) { done, _ in try onStep(done, calls) }
    }

    /// What a picture and mask give the sampler; nil for a picture from nothing.
    ///
    /// - Parameter draw: noise number 0 and 1
    private func start(
        _ inputs: Inputs, strength: Double, height: Int, width: Int, draw: (Int) -> Tensor
    ) throws -> PictureStart? {
        let channels = vae.config.latentChannels
        let readsMask = unet.config.inChannels == 2 * channels + 1
        guard readsMask || unet.config.inChannels == channels else {
            throw CheckpointError(
                "this model's UNet reads \(unet.config.inChannels) channels: only Stable Diffusion (\(channels)) and its "
                    + "inpainting model (\(2 * channels + 1)) are known")
        }
        guard let picture = inputs.picture else {
            guard !readsMask else { throw Self.noMask }
            return nil
        }
        func sample(_ pixels: Tensor, _ number: Int) -> Tensor {
            vae.encode(pixels).sample(draw(number)).scaled(by: vae.config.scalingFactor)
        }
        let pixels = picture.resized(width: width, height: height, filter: .lanczos).tensor(scale: 2, offset: -1)
        guard let mask = inputs.mask.map({ $0.resized(width: width, height: height, filter: .lanczos).binaryMask })
        else {
            guard !readsMask else { throw Self.noMask }
            return PictureStart(latent: sample(pixels, 0), strength: strength)
        }
        // Nearest pixel, as torch's interpolate does by default.
        let f = vae.config.downscale
        let small = (0..<height / f * (width / f)).map { i in mask[i / (width / f) * f * width + i % (width / f) * f] }
        let blank = Tensor(pixels.scalars.enumerated().map { $1 * (1 - mask[$0 / 3]) }, shape: pixels.shape)
        return PictureStart(
            latent: sample(pixels, 0), strength: strength,
            mask: Tensor(small, shape: [1, height / f, width / f, 1]), maskedLatent: readsMask ? sample(blank, 1) : nil)
    }

    private static var noMask: CheckpointError {
        CheckpointError("this model is for inpainting (its UNet reads a mask): give init_image and mask_image")
    }
}
