internal import CLIP
internal import Checkpoint
internal import Diffusion
import Foundation
internal import IPAdapter
internal import TensorEngine

extension GoldenSuite {
    static func checkUNet(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let weights = golden.weights()
        let unet = try UNet2DConditionModel(weights, golden.config(UNetConfig.self))
        try weights.requireAllTaken()
        let text = try golden.tensor("in.encoder_hidden_states")
        let timesteps = try golden.tensor("in.timestep").scalars

        var seen: [String: Tensor] = [:]
        let sample = unet(
            try golden.tensor("in.sample").channelsLast(), timesteps: timesteps, unet.conditioning(text),
            observe: { seen[$0] = $1 })
        for name in golden.names("out.block.") {
            guard let output = seen[String(name.dropFirst("out.block.".count))] else {
                comparison.fail("\(name): the model has no such module")
                continue
            }
            try comparison.compare(name, of: golden, output.shape.count == 4 ? output.channelsFirst() : output)
        }
        try comparison.compare("out.sample", of: golden, sample.channelsFirst())

        let odd = unet(
            try golden.tensor("in.odd_sample").channelsLast(), timesteps: [timesteps[0]],
            unet.conditioning(text[0..<1]))
        try comparison.compare("out.odd_sample", of: golden, odd.channelsFirst())
    }

    static func checkVAE(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let weights = golden.weights()
        let vae = try AutoencoderKL(weights, golden.config(VAEConfig.self))
        try weights.requireAllTaken()
        var seen: [String: Tensor] = [:]
        let posterior = vae.encode(try golden.tensor("in.image").channelsLast(), observe: { seen[$0] = $1 })
        let noise = try golden.tensor("in.posterior_noise").channelsLast()
        let decoded = vae.decode(try golden.tensor("in.latent").channelsLast(), observe: { seen[$0] = $1 })
        let outputs = [
            "out.moments": posterior.moments, "out.mode": posterior.mean, "out.sample": posterior.sample(noise),
            "out.decoded": decoded, "out.encoder_block0": seen["encoder.down_blocks.0"],
            "out.encoder_mid": seen["encoder.mid_block"], "out.decoder_mid": seen["decoder.mid_block"],
        ]
        for (name, output) in outputs.sorted(by: { $0.key < $1.key }) {
            guard let output else { throw golden.missing(name) }
            try comparison.compare(name, of: golden, output.channelsFirst())
        }
    }

    static func checkIPAdapter(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let unet = try loadUNet(golden.other("unet"))
        let text = try golden.tensor("in.encoder_hidden_states")
        let timesteps = try golden.tensor("in.timestep").scalars
        let sample = try golden.tensor("in.sample").channelsLast()
        let (one, nine) = (try golden.tensor("in.image_embeds"), try golden.tensor("in.image_embeds_9"))

        // diffusers' key names, h94's, and h94's file give the same answers.
        let file = try golden.object("files").keys.filter { $0.hasSuffix(".safetensors") }.sorted().map {
            Weights(try SafetensorsFile(golden.folder.appendingPathComponent($0)))
        }
        for weights in [golden.weights(), golden.weights("h94.")] + file {
            let adapter = try IPAdapterModel(weights, for: unet)
            try weights.requireAllTaken()
            func predict(_ embeddings: Tensor, _ scale: Float) -> Tensor {
                let conditioned = adapter.conditioned(on: adapter.projection(embeddings), scale: scale)
                return unet(sample, timesteps: timesteps, unet.conditioning(text, adapter: conditioned)).channelsFirst()
            }
            for name in golden.names("out.sample") {
                guard let scale = Float(name.split(separator: "_").last ?? "") else { throw golden.missing(name) }
                let embeddings = name.hasPrefix("out.sample_9") ? nine : one
                try comparison.compare(name, of: golden, predict(embeddings, scale))
            }
            for (name, images) in [("out.tokens", one), ("out.tokens_9", nine), ("out.tokens_zero", .zeros(one.shape))]
            {
                let tokens = adapter.projection(images)
                let shape = [images.shape[0], images.shape[1], adapter.projection.tokens ?? 0, tokens.shape[2]]
                try comparison.compare(name, of: golden, tokens.reshaped(shape))
            }
        }
    }

    static func checkAggregation(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let weights = golden.weights()
        let attention = try PhotoSelfAttention(weights, heads: Int(golden.number("heads")))
        try weights.requireAllTaken()
        let x = try golden.tensor("in.embeddings")
        let outputs: [(String, Tensor)] = [
            ("out.max", try Aggregation.max(x, nil)), ("out.mean", try Aggregation.avg(x, nil)),
            ("out.self_attention", try Aggregation.selfAttention(x, attention)),
            ("out.self_attention_max", try Aggregation.selfAttentionMax(x, attention)),
            ("out.self_attention_mean", try Aggregation.selfAttentionAvg(x, attention)),
            ("out.self_attention_before_norm", attention.beforeNorm(x)),
            ("out.attention_weights", attention.attentionWeights(x)),
        ]
        for (name, output) in outputs { try comparison.compare(name, of: golden, output) }
    }

    static func checkPipeline(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let unet = try loadUNet(golden.other("unet"))
        let adapter = try IPAdapterModel(golden.other("ip_adapter").weights(), for: unet)
        let textCase = try golden.other("text_encoder")
        let text = try CLIPTextModel(textCase.weights(), textCase.config(CLIPTextConfig.self))
        let vaeCase = try golden.other("vae")
        let vae = try AutoencoderKL(vaeCase.weights(), vaeCase.config(VAEConfig.self))

        let states = text([
            try golden.integers("in.negative_prompt_ids"), try golden.integers("in.prompt_ids"),
        ]).lastHiddenState
        let embedding = try golden.tensor("in.image_embeds")
        let tokens = adapter.projection(.stacked([.zeros(embedding.shape), embedding]))
        let conditioning = unet.conditioning(
            states, adapter: adapter.conditioned(on: tokens, scale: Float(try golden.number("ip_adapter_scale"))))
        let sampler = Sampler(
            unet: unet, conditioning: conditioning, guidanceScale: Float(try golden.number("guidance_scale")))
        let scheduler = try makeScheduler(.ddim, config: .stableDiffusion15, steps: Int(golden.number("steps")))

        var latents: [Tensor] = []
        let noise = try golden.tensor("in.noise").channelsLast()
        let last = sampler(from: noise, scheduler, draw: { _ in noise }) { latents.append($1.channelsFirst()) }
        let decoded = vae.decode(last.scaled(by: 1 / vae.config.scalingFactor)).channelsFirst()

        comparison.compare("out.timesteps", scheduler.timesteps, try golden.tensors.doubles("out.timesteps"))
        try comparison.compare("out.text_embeddings", of: golden, states)
        try comparison.compare("out.latents", of: golden, .stacked(latents))
        try comparison.compare("out.decoded", of: golden, decoded)
        try comparison.compare("out.image", of: golden, decoded.scaled(by: 0.5, plus: 0.5).clamped(0, 1))
    }

    static func loadUNet(_ golden: GoldenCase) throws -> UNet2DConditionModel {
        try UNet2DConditionModel(golden.weights(), golden.config(UNetConfig.self))
    }
}
