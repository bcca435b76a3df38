import Checkpoint
import Diffusion
import Foundation
import TensorEngine
import Testing
import Training

@Suite struct GradientCheckpointingTests {
    /// Gradients of a small UNet, every parameter of it trained.
    private func gradients(checkpointing: Bool) throws -> (loss: [Float], gradients: [String: [Float]]) {
        let set = ParameterSet(RandomWeights(seed: 4))
        let config = UNetConfig(
            sampleSize: 8, blockOutChannels: [16, 32], crossAttentionDim: 24, heads: 2, normNumGroups: 4)
        var unet = try UNet2DConditionModel(Weights(set), config)
        unet.gradientCheckpointing = checkpointing
        func normal(_ seed: UInt64, _ shape: [Int]) -> Tensor {
            Tensor(Philox(seed: seed).normal(shape.reduce(1, *)), shape: shape)
        }
        let prediction = unet(
            normal(1, [2, 8, 8, 4]), timesteps: [10, 700], unet.conditioning(normal(2, [2, 5, 24])))
        let loss = DiffusionLoss.meanSquaredError(prediction, normal(3, [2, 8, 8, 4]))
        let gradients = loss.gradients()
        return (loss.scalars, set.parameters.compactMapValues { gradients[$0]?.scalars })
    }

    @Test func layersComputedAgainGiveTheSameLossAndEveryGradient() throws {
        let kept = try gradients(checkpointing: false)
        let again = try gradients(checkpointing: true)
        #expect(kept.loss == again.loss)
        #expect(kept.gradients.count > 100 && kept.gradients.keys == again.gradients.keys)
        for (name, gradient) in kept.gradients {
            let other = try #require(again.gradients[name])
            let size = gradient.map(abs).max() ?? 0
            #expect(zip(gradient, other).allSatisfy { abs($0 - $1) <= 1e-5 * max(size, 1e-3) }, "\(name)")
        }
    }
}
