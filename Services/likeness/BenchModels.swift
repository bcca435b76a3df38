import ArgumentParser
import CLIP
import Checkpoint
import Diffusion
import Foundation
import TensorEngine

extension BenchCommand {
    /// `likeness bench vae`: a latent becomes a picture.
    struct VAE: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "vae", abstract: "Times Stable Diffusion 1.5's VAE decoder.")

        @Option(help: "Side of the picture in pixels, a multiple of 8.")
        var size = 512

        @OptionGroup var options: Options

        mutating func validate() throws {
            guard size >= 8, size % 8 == 0 else { throw ValidationError("--size \(size): must be a multiple of 8") }
        }

        func run() throws {
            options.prepare()
            let weights = RandomWeights(seed: 0, format: options.weights.half)
            let vae = try AutoencoderKL(Weights(weights), VAEConfig())
            let latent = BenchCommand.normal(1, [1, size / 8, size / 8, 4])
            let activations = ActivationArena()
            try options.show([
                options.measure(
                    .init(name: "vae", config: "sd15", parameters: weights.parameters, pixels: size, batch: 1)
                ) { activations { vae.decode(latent) } }
            ])
        }
    }

    /// `likeness bench clip-image`: photos become embeddings.
    struct CLIPImage: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "clip-image", abstract: "Times CLIP ViT-H/14, IP-Adapter's image encoder, on one photo.")

        @OptionGroup var rows: BatchOption
        @OptionGroup var options: Options

        func run() throws {
            options.prepare()
            let batch = rows.batch ?? 1
            var config = CLIPVisionConfig()
            (config.hiddenSize, config.intermediateSize, config.projectionDim) = (1280, 5120, 1024)
            (config.numHiddenLayers, config.numAttentionHeads, config.patchSize) = (32, 16, 14)
            config.hiddenAct = .gelu
            let weights = RandomWeights(seed: 0, format: options.weights.half)
            let clip = try CLIPVisionModel(Weights(weights), config)
            let pixels = BenchCommand.normal(1, [batch, config.imageSize, config.imageSize, 3])
            try options.show([
                options.measure(
                    .init(
                        name: "clip-image", config: "ViT-H/14", parameters: weights.parameters,
                        pixels: config.imageSize, batch: batch)
                ) { clip(pixels).imageEmbeds }
            ])
        }
    }

    /// `likeness bench clip-text`: a prompt and a negative prompt become states.
    struct CLIPText: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "clip-text", abstract: "Times Stable Diffusion 1.5's text encoder on two prompts of 77 tokens."
        )

        @OptionGroup var rows: BatchOption
        @OptionGroup var options: Options

        func run() throws {
            options.prepare()
            let batch = rows.batch ?? 2
            let weights = RandomWeights(seed: 0, format: options.weights.half)
            let clip = try CLIPTextModel(Weights(weights), .sd15)
            let tokens = (0..<batch).map { row in
                [49406] + (0..<75).map { ($0 * 631 + row * 97) % 49000 } + [49407]
            }
            try options.show([
                options.measure(
                    .init(name: "clip-text", config: "sd15", parameters: weights.parameters, pixels: 0, batch: batch)
                ) { clip(tokens).lastHiddenState }
            ])
        }
    }

    /// `likeness bench picture`: everything between an encoded prompt and the pixels.
    struct Picture: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "picture", abstract: "Times one guided picture: cross-attention keys, steps (DDIM), VAE.")

        @Option(help: "Side of the picture in pixels, a multiple of 64.")
        var size = 512

        @Option(help: "Denoising steps.")
        var steps = 5

        @OptionGroup var options: Options

        mutating func validate() throws {
            guard size >= 64, size % 64 == 0, steps > 0 else {
                throw ValidationError("--size must be a multiple of 64, --steps at least 1")
            }
        }

        func run() throws {
            options.prepare()
            let weights = RandomWeights(seed: 0, format: options.weights.half)
            let vaeWeights = RandomWeights(seed: 1, format: options.weights.half)
            let unet = try UNet2DConditionModel(Weights(weights), .sd15)
            let vae = try AutoencoderKL(Weights(vaeWeights), VAEConfig())
            let text = BenchCommand.normal(2, [2, 77, 768])
            let noise = Sampler.noise(seed: 3, channels: 4, height: size / 8, width: size / 8)
            let activations = ActivationArena()
            try options.show([
                options.measure(
                    .init(
                        name: "picture", config: "sd15, \(steps) steps",
                        parameters: weights.parameters + vaeWeights.parameters, pixels: size, batch: 1)
                ) {
                    var sampler = Sampler(
                        unet: unet, conditioning: unet.conditioning(text), guidanceScale: 7.5)
                    sampler.activations = activations
                    let scheduler = try makeScheduler(.ddim, config: SchedulerConfig(), steps: steps)
                    let latent = sampler(from: noise, scheduler, draw: { _ in noise }, onStep: { _, _ in })
                    return activations([0]) { vae.decode(latent.scaled(by: 1 / vae.config.scalingFactor)) }
                }
            ])
        }
    }
}
