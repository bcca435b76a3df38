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
    public init(_ folder: PipelineFolder) throws {
        unet = try folder.unet()
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
        RGBImage(decoded: vae.decode(latent.scaled(by: 1 / vae.config.scalingFactor)))
    }

    /// The latent [1, height / f, width / f, 4] that a picture is decoded from, still times the VAE's scaling factor.
    ///
    /// - Parameter start: standard normal noise of that shape to start from; nil for the seed's own
    public func latent(
        _ sampling: Sampling, seed: UInt64, _ inputs: Inputs, from start: Tensor? = nil,
        onStep: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> Tensor {
        let scheduler = try makeScheduler(sampling.scheduler, config: schedule, steps: sampling.steps)

        // Without guidance the unconditional row has no effect (ε = ε(cond)) and is not computed.
        let rows = sampling.guidanceScale == 1 ? 1 : 2
        let states = Tensor.stacked([inputs.negativePrompt, inputs.prompt].map { $0.reshaped([1] + $0.shape) })
        guard states.shape[2] == unet.config.crossAttentionDim else {
            throw CheckpointError(
                "the prompt's embedding is \(states.shape[2]) wide, the UNet reads \(unet.config.crossAttentionDim): "
                    + "encoder and denoiser run with different LIKENESS_MODELS")
        }
        let own = inputs.aggregation?.needsSelfAttention == true ? selfAttentionAdapter : nil
        let image = inputs.tokens.map {
            (own ?? adapter).conditioned(on: $0[2 - rows..<2], scale: sampling.ipAdapterScale)
        }
        let sampler = Sampler(
            unet: unet, conditioning: unet.conditioning(states[2 - rows..<2], adapter: image), rows: rows,
            guidanceScale: sampling.guidanceScale)

        let f = vae.config.downscale
        let (height, width) = (
            sampling.height.map { $0 / f } ?? unet.config.sampleSize,
            sampling.width.map { $0 / f } ?? unet.config.sampleSize
        )
        // Stream 0 of the seed is the starting noise, stream i + 1 what the scheduler adds at call i.
        func noise(_ stream: Int) -> Tensor {
            Sampler.noise(
                seed: seed, stream: UInt64(stream), channels: unet.config.inChannels, height: height, width: width)
        }
        let calls = scheduler.timesteps.count
        return try sampler(from: start ?? noise(0), scheduler, draw: { noise($0 + 1) }) { done, _ in
            try onStep(done, calls)
        }
    }
}
