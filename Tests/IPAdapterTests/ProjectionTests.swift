import Checkpoint
import Diffusion
import Foundation
import IPAdapter
import TensorEngine
import Testing

/// The projections of IP-Adapter Plus and full-face against diffusers' (Fixtures/make.py).
@Suite struct ProjectionTests {
    private func fixture(_ name: String) throws -> SafetensorsFile {
        try SafetensorsFile(
            try #require(Bundle.module.url(forResource: "Fixtures/\(name).safetensors", withExtension: nil)))
    }

    @Test(arguments: ["plus", "full-face"], ["h94", "diffusers"])
    func tokensAreDiffusersUnderEitherNames(_ kind: String, _ names: String) throws {
        let file = try fixture(kind)
        let projection = try ImageProjection(adapter: Weights(file) / names)
        let states = try file.tensor("in.states")
        #expect(projection.input == .hiddenStates)
        #expect(projection.embeddingWidth == states.shape[2] && projection.tokenWidth == 12)
        #expect(projection.tokens == (kind == "plus" ? 5 : nil))
        let want = try file.tensor("out.tokens")
        let got = projection(states.reshaped([2, 1, -1]))
        #expect(got.shape == want.shape)
        #expect(zip(got.scalars, want.scalars).allSatisfy { abs($0 - $1) <= 1e-5 + 1e-4 * abs($1) })
    }

    @Test func severalPhotosGiveTheirTokensInOrder() throws {
        let file = try fixture("plus")
        let projection = try ImageProjection(adapter: Weights(file) / "h94")
        let states = try file.tensor("in.states")
        let together = projection(states.reshaped([1, 2, -1]))
        #expect(together.shape == [1, 10, 12])
        #expect(zip(together.scalars, try file.tensor("out.tokens").scalars).allSatisfy { abs($0 - $1) < 1e-4 })
    }

    /// As h94's files are: the projection, and the cross-attentions under odd numbers.
    @Test(arguments: ["plus", "full-face"])
    func theWholeAdapterIsReadUnderH94Names(_ kind: String) throws {
        let config = UNetConfig(
            sampleSize: 8, blockOutChannels: [8, 16], crossAttentionDim: 12, heads: 2, normNumGroups: 4)
        let unet = try UNet2DConditionModel(Weights(RandomWeights(seed: 1)), config)
        let file = try fixture(kind)
        var tensors: [String: Tensor] = [:]
        for name in file.names where name.hasPrefix("h94.") {
            tensors[String(name.dropFirst(4))] = try file.tensor(name)
        }
        for (i, layer) in unet.crossAttentionWidths.enumerated() {
            for part in ["k", "v"] {
                tensors["ip_adapter.\(2 * i + 1).to_\(part)_ip.weight"] = .zeros([layer.hiddenSize, 12])
            }
        }
        let weights = Weights(try SafetensorsFile(SafetensorsWriter.data(tensors), name: kind))
        #expect(try IPAdapterModel(weights, for: unet).projection.input == .hiddenStates)
        try weights.requireAllTaken()
    }

    /// h94's names, and diffusers'.
    @Test(arguments: [
        ["image_proj.proj.0.weight", "image_proj.perceiver_resampler.proj_in.weight"],
        [
            "encoder_hid_proj.image_projection_layers.0.proj.net.0.proj.weight",
            "encoder_hid_proj.image_projection_layers.0.proj_in.weight",
            "encoder_hid_proj.image_projection_layers.0.norm.weight",
        ],
    ])
    func faceIDPlusIsRefusedByName(_ names: [String]) {
        #expect {
            let weights = Dictionary(uniqueKeysWithValues: names.map { ($0, Tensor.zeros([16, 8])) })
            let file = try SafetensorsFile(SafetensorsWriter.data(weights), name: "ip-adapter-faceid-plusv2")
            _ = try ImageProjection(adapter: Weights(file))
        } throws: { "\($0)".contains("FaceID Plus") && "\($0)".contains("ip-adapter-faceid_sd15") }
    }
}
