internal import Checkpoint
internal import Diffusion
import Foundation
internal import IPAdapter
internal import TensorEngine
internal import Training

extension GoldenSuite {
    static func checkTrainingIP(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let unetCase = try golden.other("unet")
        let unet = try UNet2DConditionModel(unetCase.weights(), unetCase.config(UNetConfig.self))
        let adapterSet = ParameterSet(try golden.other("ip_adapter").source())
        let adapter = try IPAdapterModel(Weights(adapterSet), for: unet)
        let aggregatorCase = try golden.other("aggregator")
        let aggregatorSet = ParameterSet(aggregatorCase.source())
        let attention = try PhotoSelfAttention(
            Weights(aggregatorSet), heads: Int(aggregatorCase.number("heads")))

        let batch = try Batch(golden)
        let embeddings = try golden.tensor("in.image_embeds")
        let dropped = try golden.integers("in.drop_image")
        let kept = Tensor.stacked(
            dropped.enumerated().map { embeddings[$0..<$0 + 1].scaled(by: $1 == 1 ? 0 : 1) })
        let scale = Float(try golden.number("ip_adapter_scale"))
        func predict() -> Tensor {
            let tokens = adapter.projection(attention(kept))
            let conditioning = unet.conditioning(batch.text, adapter: adapter.conditioned(on: tokens, scale: scale))
            return unet(batch.noisy, timesteps: batch.timesteps, conditioning)
        }

        var parameters: [String: Tensor] = [:]
        for (name, tensor) in adapterSet.parameters { parameters["unet." + name] = tensor }
        for (name, tensor) in aggregatorSet.parameters { parameters["aggregator." + name] = tensor }
        let optimizer = AdamW(parameters, goldenOptimizer)
        var losses: [Double] = []
        for step in 0..<Int(try golden.number("steps")) {
            let prediction = predict()
            let loss = DiffusionLoss.meanSquaredError(prediction, batch.noise)
            losses.append(Double(loss.scalars[0]))
            let gradients = loss.gradients()
            if step == 0 {
                try comparison.compare("out.noisy_latents", of: golden, batch.noisy.channelsFirst())
                try comparison.compare("out.noise_pred", of: golden, prediction.channelsFirst())
                try compareGradients(golden, parameters, gradients, &comparison)
            }
            let norm = optimizer.update([gradients])
            if step == 0 { comparison.compare("out.grad_norm", [norm], try golden.tensors.doubles("out.grad_norm")) }
        }
        comparison.compare("out.loss", losses, try golden.tensors.doubles("out.loss"))
        try compareUpdated(golden, parameters, &comparison)
    }

    static func checkTrainingDreamBooth(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let unetCase = try golden.other("unet")
        let set = ParameterSet(unetCase.source())
        let unet = try UNet2DConditionModel(Weights(set), unetCase.config(UNetConfig.self))
        let batch = try Batch(golden)
        let prediction = unet(batch.noisy, timesteps: batch.timesteps, unet.conditioning(batch.text))
        let losses = DiffusionLoss.priorPreservation(
            prediction, batch.noise, instances: batch.timesteps.count / 2,
            priorLossWeight: Float(try golden.number("prior_loss_weight")))
        comparison.compare(
            "out.losses", [losses.total, losses.instance, losses.prior].map { Double($0.scalars[0]) },
            try golden.tensors.doubles("out.losses"))
        try comparison.compare("out.noise_pred", of: golden, prediction.channelsFirst())
        let gradients = losses.total.gradients()
        try compareGradients(golden, set.parameters, gradients, &comparison)
        let norm = AdamW(set.parameters, goldenOptimizer).update([gradients])
        comparison.compare("out.grad_norm", [norm], try golden.tensors.doubles("out.grad_norm"))
        try compareUpdated(golden, set.parameters, &comparison)
    }

    /// "AdamW lr 1e-3, betas 0.9 0.999, eps 1e-8, weight_decay 1e-2 (decoupled), every tensor", no clipping.
    private static var goldenOptimizer: OptimizerSettings {
        var settings = OptimizerSettings(learningRate: 1e-3)
        settings.maxGradNorm = nil
        return settings
    }

    private struct Batch {
        let noise, text, noisy: Tensor
        let timesteps: [Float]

        init(_ golden: GoldenCase) throws {
            let steps = try golden.integers("in.timesteps")
            let schedule = try GoldenCase(
                golden.folder.deletingLastPathComponent().appendingPathComponent("schedulers"))
            let loss = DiffusionLoss(alphasCumprod: try schedule.tensor("out.alphas_cumprod").scalars)
            noise = try golden.tensor("in.noise").channelsLast()
            text = try golden.tensor("in.encoder_hidden_states")
            noisy = loss.noisy(try golden.tensor("in.latents").channelsLast(), noise, timesteps: steps)
            timesteps = steps.map(Float.init)
        }
    }

    /// Every gradient of the case, and no parameter without one.
    private static func compareGradients(
        _ golden: GoldenCase, _ parameters: [String: Tensor], _ gradients: Gradients, _ comparison: inout Comparison
    ) throws {
        let names = golden.names("out.grad.")
        guard Set(names.map { String($0.dropFirst("out.grad.".count)) }) == Set(parameters.keys) else {
            return comparison.fail("the trained parameters are not those of the case")
        }
        for name in names {
            guard let gradient = parameters[String(name.dropFirst("out.grad.".count))].flatMap({ gradients[$0] }) else {
                comparison.fail("\(name): no gradient")
                continue
            }
            try comparison.compare(name, of: golden, gradient)
        }
    }

    /// Updated parameters, but for those whose gradient is too small for its sign to be certain (the case's own rule).
    private static func compareUpdated(
        _ golden: GoldenCase, _ parameters: [String: Tensor], _ comparison: inout Comparison
    ) throws {
        for name in golden.names("out.updated.") {
            let key = String(name.dropFirst("out.updated.".count))
            guard let parameter = parameters[key] else {
                comparison.fail("\(name): no such parameter")
                continue
            }
            let certain = try golden.tensors.doubles("out.grad." + key).map { abs($0) >= 1e-6 }
            let want = try golden.tensors.doubles(name)
            let got = parameter.scalars.map(Double.init)
            comparison.compare(
                name, zip(got, certain).filter(\.1).map(\.0), zip(want, certain).filter(\.1).map(\.0))
        }
    }
}
