import Checkpoint
import Diffusion
import TensorEngine
import Testing

/// One latent under several texts, as guidance has it.
@Suite struct SharedRowsTests {
    @Test(arguments: [true, false])
    func oneRowStandsForAll(attentionFirst: Bool) throws {
        var config = UNetConfig(
            sampleSize: 16, blockOutChannels: [32, 64], crossAttentionDim: 24, heads: 4, normNumGroups: 8)
        if !attentionFirst {
            config.downBlockTypes = ["DownBlock2D", "CrossAttnDownBlock2D"]
            config.upBlockTypes = ["CrossAttnUpBlock2D", "UpBlock2D"]
        }
        let unet = try UNet2DConditionModel(Weights(RandomWeights(seed: 3)), config)
        func normal(_ seed: UInt64, _ shape: [Int]) -> Tensor {
            Tensor(Philox(seed: seed).normal(shape.reduce(1, *)), shape: shape)
        }
        let latent = normal(1, [1, 16, 16, 4])
        let conditioning = unet.conditioning(normal(2, [2, 7, 24]))
        let shared = unet(latent, timesteps: [400], conditioning)
        let apart = unet(.stacked([latent, latent]), timesteps: [400, 400], conditioning)
        #expect(shared.shape == [2, 16, 16, 4])
        let worst = zip(shared.scalars, apart.scalars).map { abs($0 - $1) }.max() ?? 1
        #expect(worst < 1e-5)
        // The rows do differ, by their texts.
        #expect(zip(shared[0].scalars, shared[1].scalars).contains { abs($0 - $1) > 1e-3 })
    }
}
