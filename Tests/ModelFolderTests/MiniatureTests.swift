import CLIP
import Checkpoint
import Diffusion
import Foundation
import IPAdapter
import ModelFolder
import TensorEngine
import Testing

@Suite struct MiniatureTests {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("mini-\(UUID().uuidString)")

    @Test func everyPartLoadsAndEveryTensorHasItsPlace() throws {
        defer { try? FileManager.default.removeItem(at: url) }
        #expect(try Miniature.write(to: url, seed: 3))
        let folder = try PipelineFolder(url)
        #expect(folder.isRandomMiniature)
        let unet = try folder.unet()
        let adapter = try folder.adapter(for: unet)
        #expect(adapter.projection.tokens == 4)
        #expect(try folder.imageProjection().embeddingWidth == folder.vision().config.projectionDim)
        #expect(try folder.selfAttention() != nil)
        let tokens = try folder.tokenizer()("a photo of a smiling person")
        let states = try folder.text()([tokens.ids]).lastHiddenState
        #expect(states.shape == [1, 77, unet.config.crossAttentionDim])
        // Common words have a token of their own: start, six words, end.
        #expect(tokens.untruncatedLength == 8)
        #expect(unet.config.inChannels == 8)
        #expect(try folder.vae().decode(.zeros([1, 16, 16, unet.config.inChannels])).shape == [1, 64, 64, 3])
    }

    @Test func theSameSeedGivesTheSameModelAndAnExistingOneIsLeftAlone() throws {
        let other = url.appendingPathExtension("2")
        defer {
            try? FileManager.default.removeItem(at: url)
            try? FileManager.default.removeItem(at: other)
        }
        try Miniature.write(to: url, seed: 1)
        try Miniature.write(to: other, seed: 1)
        #expect(try PipelineFolder(url).pictureHash() == PipelineFolder(other).pictureHash())
        #expect(try PipelineFolder(url).textHash() == PipelineFolder(other).textHash())
        #expect(try Miniature.write(to: url, seed: 2) == false)
        #expect(try PipelineFolder(url).pictureHash() == PipelineFolder(other).pictureHash())
    }

    @Test func aFolderThatIsNoModelIsRefusedWithTheRemedy() throws {
        let error = #expect(throws: CheckpointError.self) { try PipelineFolder(url) }
        #expect(error?.description.contains("LIKENESS_MODELS") == true)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: url) }
        #expect(throws: CheckpointError.self) { try Miniature.write(to: url) }
        try Data("{}".utf8).write(to: url.appendingPathComponent("model_index.json"))
        let adapter = #expect(throws: CheckpointError.self) { try PipelineFolder(url) }
        #expect(adapter?.description.contains("IP-Adapter") == true)
    }

    @Test func theVisionTowerIsFoundInTheModelsFolderAndInTheFormOfAWholeCLIP() throws {
        defer { try? FileManager.default.removeItem(at: url) }
        try Miniature.write(to: url)
        let (old, new) = (
            url.appendingPathComponent("ip_adapter/image_encoder"), url.appendingPathComponent("image_encoder")
        )
        func embedding() throws -> [Float] {
            let tower = try PipelineFolder(url).vision()
            let side = tower.config.imageSize
            return tower(Tensor(repeating: 0.5, shape: [1, side, side, 3])).imageEmbeds.scalars
        }
        let want = try embedding()
        try FileManager.default.moveItem(at: old, to: new)
        #expect(try embedding() == want)

        let file = new.appendingPathComponent("config.json")
        let inner = try #require(
            JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        let whole: [String: Any] = [
            "vision_config": inner, "text_config": [:] as [String: Any], "projection_dim": inner["projection_dim"] ?? 0,
        ]
        try JSONSerialization.data(withJSONObject: whole).write(to: file)
        let weights = new.appendingPathComponent("model.safetensors")
        let source = try SafetensorsFile(weights)
        var tensors = try Dictionary(uniqueKeysWithValues: source.names.map { ($0, try source.tensor($0)) })
        tensors["logit_scale"] = Tensor([1], shape: [1])
        tensors["text_model.final_layer_norm.bias"] = .zeros([4])
        try SafetensorsWriter.write(tensors, to: weights)
        #expect(try embedding() == want)

        try FileManager.default.removeItem(at: new)
        #expect { try PipelineFolder(url).vision() } throws: { "\($0)".contains("image_encoder") }
    }

    /// transformers 5 leaves `text_model` out of the names.
    @Test func aTextTowerWithoutPrefixIsTheSame() throws {
        defer { try? FileManager.default.removeItem(at: url) }
        try Miniature.write(to: url)
        let want = try PipelineFolder(url).text()([[1, 2, 3]]).lastHiddenState.scalars
        let file = url.appendingPathComponent("text_encoder/model.safetensors")
        let source = try SafetensorsFile(file)
        var bare: [String: Tensor] = [:]
        for name in source.names { bare[String(name.dropFirst("text_model.".count))] = try source.tensor(name) }
        try SafetensorsWriter.write(bare, to: file)
        #expect(try PipelineFolder(url).text()([[1, 2, 3]]).lastHiddenState.scalars == want)
    }

    @Test func aConfigurationThatDoesNotFitItsWeightsIsRefused() throws {
        defer { try? FileManager.default.removeItem(at: url) }
        try Miniature.write(to: url)
        let file = url.appendingPathComponent("unet/config.json")
        var config = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        config["in_channels"] = 9
        try JSONSerialization.data(withJSONObject: config).write(to: file)
        #expect { try PipelineFolder(url).unet() } throws: { "\($0)".contains("inpainting") }
        config["in_channels"] = 4
        config["addition_embed_type"] = "text_time"
        try JSONSerialization.data(withJSONObject: config).write(to: file)
        #expect { try PipelineFolder(url).unet() } throws: { "\($0)".contains("addition_embed_type") }
    }

    @Test func theAdapterIsFoundBesideTheFolderToo() throws {
        let home = url.appendingPathComponent("home")
        defer { try? FileManager.default.removeItem(at: url) }
        try Miniature.write(to: home.appendingPathComponent("sd15"))
        let models = home.appendingPathComponent("IP-Adapter/models")
        try FileManager.default.createDirectory(
            at: models.deletingLastPathComponent(), withIntermediateDirectories: true)
        try FileManager.default.moveItem(at: home.appendingPathComponent("sd15/ip_adapter"), to: models)
        let folder = try PipelineFolder(home.appendingPathComponent("sd15"))
        #expect(folder.adapterURL.path == models.path)
        #expect(throws: Never.self) { try folder.vision() }
    }
}
