import Checkpoint
import Contracts
import Diffusion
import Foundation
import IPAdapter
import ImageIO
import ModelFolder
import TensorEngine

/// Text states and image tokens → a picture. The same inputs give the same bytes.
struct PictureMaker: Sendable {
    let unet: UNet2DConditionModel
    let vae: AutoencoderKL
    let adapter: IPAdapterModel
    let schedule: SchedulerConfig
    /// Hash of the weights.
    let hash: String

    /// What a picture is made from, besides its payload.
    struct Inputs: Sendable {
        /// Text states of the prompt and of the negative prompt, [77, cross_attention_dim] each.
        let prompt, negativePrompt: Tensor
        /// Image tokens [2, T, cross_attention_dim], unconditional first; nil for a picture from text alone.
        let tokens: Tensor?
    }

    init(_ folder: PipelineFolder) throws {
        unet = try folder.unet()
        vae = try folder.vae()
        adapter = try folder.adapter(for: unet)
        schedule = try folder.schedulerConfig()
        hash = try folder.pictureHash()
    }

    /// - Parameter onStep: told steps done and steps in all; throwing stops the picture
    func callAsFunction(
        _ sampling: Sampling, seed: UInt64, _ inputs: Inputs, onStep: (Int, Int) throws -> Void
    ) throws -> RGBImage {
        guard let kind = SchedulerKind(rawValue: sampling.scheduler.rawValue) else {
            throw CheckpointError("there is no scheduler \(sampling.scheduler.rawValue) here")
        }
        let scheduler = try makeScheduler(kind, config: schedule, steps: sampling.steps)

        // Without guidance the unconditional row has no effect (ε = ε(cond)) and is not computed.
        let rows = sampling.guidanceScale == 1 ? 1 : 2
        let states = Tensor.stacked([inputs.negativePrompt, inputs.prompt].map { $0.reshaped([1] + $0.shape) })
        guard states.shape[2] == unet.config.crossAttentionDim else {
            throw CheckpointError(
                "the prompt's embedding is \(states.shape[2]) wide, the UNet reads \(unet.config.crossAttentionDim): "
                    + "encoder and denoiser run with different LIKENESS_MODELS")
        }
        let image = inputs.tokens.map {
            adapter.conditioned(on: $0[2 - rows..<2], scale: Float(sampling.ipAdapterScale))
        }
        let sampler = Sampler(
            unet: unet, conditioning: unet.conditioning(states[2 - rows..<2], adapter: image), rows: rows,
            guidanceScale: Float(sampling.guidanceScale))

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
        let latent = try sampler(from: noise(0), scheduler, draw: { noise($0 + 1) }) { done, _ in
            try onStep(done, calls)
        }
        return RGBImage(decoded: vae.decode(latent.scaled(by: 1 / vae.config.scalingFactor)))
    }
}
