import ArgumentParser
import Checkpoint
import Diffusion
import Foundation
import IPAdapter
import TensorEngine
import Training

extension BenchCommand {
    /// `likeness bench train-step`: one update of IP-Adapter with random weights.
    struct TrainStep: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "train-step",
            abstract: "Times an update of IP-Adapter at Stable Diffusion 1.5's size: forward, backward, AdamW.",
            discussion: "The UNet is frozen; W'k, W'v and the projection are trained. Layers are computed again in the "
                + "backward pass (gradient checkpointing) unless told otherwise.")

        @Option(help: "Side of the picture in pixels, a multiple of 64.")
        var size = 512

        @Flag(help: "Keep everything for the backward pass.")
        var withoutCheckpointing = false

        @OptionGroup var rows: BatchOption
        @OptionGroup var options: Options

        mutating func validate() throws {
            guard size >= 64, size % 64 == 0 else {
                throw ValidationError("--size \(size): must be a multiple of 64, at least 64")
            }
            guard options.precision == .f32 else {
                throw ValidationError(
                    "--precision \(options.precision.rawValue): training does not round; leave it out")
            }
            guard options.weights == .f32 else {
                throw ValidationError("--weights \(options.weights.rawValue): training has 32-bit ones; leave it out")
            }
        }

        func run() throws {
            options.prepare()
            let batch = rows.batch ?? 1
            let config = UNetConfig.sd15
            var unet = try UNet2DConditionModel(Weights(RandomWeights(seed: 0)), config)
            unet.gradientCheckpointing = !withoutCheckpointing
            let trained = ParameterSet(RandomWeights(seed: 1))
            let adapter = try IPAdapterModel(Weights(trained), for: unet, embeddingWidth: 1024, tokens: 4)
            let optimizer = AdamW(trained.parameters, OptimizerSettings(learningRate: 1e-4))
            let side = size / 8
            let latents = BenchCommand.normal(2, [batch, side, side, 4])
            let noise = BenchCommand.normal(3, [batch, side, side, 4])
            let text = BenchCommand.normal(4, [batch, 77, config.crossAttentionDim])
            let embeddings = BenchCommand.normal(5, [batch, 1, 1024])

            let form = withoutCheckpointing ? "sd15 IP-Adapter, all kept" : "sd15 IP-Adapter"
            let report = try options.measure(
                .init(
                    name: "train-step", config: form,
                    parameters: trained.parameters.values.reduce(0) { $0 + $1.count }, pixels: size, batch: batch)
            ) {
                let tokens = adapter.projection(embeddings)
                let conditioning = unet.conditioning(text, adapter: adapter.conditioned(on: tokens, scale: 1))
                let prediction = unet(latents, timesteps: Array(repeating: 500, count: batch), conditioning)
                optimizer.update([DiffusionLoss.meanSquaredError(prediction, noise).gradients()])
                return prediction
            }
            try options.show([report])
        }
    }
}
