import Checkpoint
import Foundation
import ImageIO
import ModelFolder
import TensorEngine
import TestSupport
import Testing

/// Networks that score pictures, as they lie in a model folder.
@Suite struct EvaluationNetworkTests {
    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("evaluation-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try Miniature.write(to: folder)
        try body(folder)
    }

    private let pictures: [RGBImage] = (0..<3).map { i in
        let random = Philox(seed: UInt64(i)).uniform(96 * 96 * 3)
        return RGBImage(width: 96, height: 96, pixels: random.map { UInt8($0 * 255) })
    }

    @Test func withoutFaceNetworksTheFoldersOwnSeesTheWholePicture() throws {
        try withFolder { folder in
            let network = try #require(try IdentityNetwork(PipelineFolder(folder)))
            let readings = network(pictures)
            #expect(readings.count == 3 && readings.allSatisfy { $0.faces == 1 && $0.embedding?.count == 64 })
        }
    }

    @Test func aFaceNetworkWithoutMTCNNSaysWhatIsMissing() throws {
        try withFolder { folder in
            try FaceNetworks.writeArcFace(folder)
            #expect {
                _ = try IdentityNetwork(PipelineFolder(folder))
            } throws: { "\($0)".contains("evaluation/mtcnn") && "\($0)".contains("pnet.pt") }
        }
    }

    @Test func somethingElseInTheirPlaceIsRefused() throws {
        try withFolder { folder in
            try FaceNetworks.writeMTCNN(folder, seesFaces: true)
            let other = folder.appendingPathComponent("evaluation/facenet")
            try FileManager.default.createDirectory(at: other, withIntermediateDirectories: true)
            try SafetensorsWriter.write(
                ["a.weight": .zeros([2, 2])], to: other.appendingPathComponent("other.safetensors"))
            #expect {
                _ = try IdentityNetwork(PipelineFolder(folder))
            } throws: { "\($0)".contains("other.safetensors") && "\($0)".contains("InceptionResnetV1") }
        }
    }

    @Test func aPictureWithoutAFaceHasNoEmbedding() throws {
        try withFolder { folder in
            try FaceNetworks.writeArcFace(folder)
            try FaceNetworks.writeMTCNN(folder, seesFaces: false)
            let network = try #require(try IdentityNetwork(PipelineFolder(folder)))
            #expect(network.name == "ArcFace")
            #expect(network(pictures).allSatisfy { $0.embedding == nil && $0.faces == 0 })
        }
    }

    @Test func ofSeveralFacesTheLargestCounts() throws {
        try withFolder { folder in
            try FaceNetworks.writeArcFace(folder)
            try FaceNetworks.writeMTCNN(folder, seesFaces: true)
            let network = try #require(try IdentityNetwork(PipelineFolder(folder)))
            for reading in network(pictures) {
                #expect(reading.faces > 1)
                let length = try #require(reading.embedding).reduce(0) { $0 + $1 * $1 }
                #expect(abs(length - 1) < 1e-5)
            }
        }
    }

    @Test func aModelWhoseTowersBelongTogetherComparesPromptsAndPictures() throws {
        try withFolder { folder in
            let network = try AlignmentNetwork(PipelineFolder(folder))
            #expect(network.readsPrompts)
            let (seen, read) = (network.embeddings(pictures), try #require(network.embeddings(["a photo", "a hat"])))
            #expect(seen.count == 3 && seen[0].count == read[0].count && read[0] != read[1])
            // Without the projection, as in Stable Diffusion 1.5's folder, only pictures are comparable.
            try FileManager.default.removeItem(
                at: folder.appendingPathComponent("text_encoder/text_projection.safetensors"))
            #expect(try AlignmentNetwork(PipelineFolder(folder)).embeddings(["a photo"]) == nil)
        }
    }

    /// `evaluation/clip`, in the layout of transformers' CLIPModel, takes precedence: made here of the miniature's own towers.
    @Test func aWholeCLIPInTheFolderIsRead() throws {
        try withFolder { folder in
            let own = try AlignmentNetwork(PipelineFolder(folder))
            let home = folder.appendingPathComponent("evaluation/clip")
            try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
            var tensors: [String: Tensor] = ["logit_scale": Tensor([4.6], shape: [])]
            for file in [
                "text_encoder/model.safetensors", "ip_adapter/image_encoder/model.safetensors",
                "text_encoder/text_projection.safetensors",
            ] {
                let source = try SafetensorsFile(folder.appendingPathComponent(file))
                for name in source.names { tensors[name] = try source.tensor(name) }
            }
            try SafetensorsWriter.write(tensors, to: home.appendingPathComponent("model.safetensors"))
            func json(_ path: String) throws -> Any {
                try JSONSerialization.jsonObject(with: Data(contentsOf: folder.appendingPathComponent(path)))
            }
            let config: [String: Any] = [
                "text_config": try json("text_encoder/config.json"),
                "vision_config": try json("ip_adapter/image_encoder/config.json"), "projection_dim": 96,
            ]
            try JSONSerialization.data(withJSONObject: config).write(to: home.appendingPathComponent("config.json"))
            for name in ["vocab.json", "merges.txt"] {
                try FileManager.default.copyItem(
                    at: folder.appendingPathComponent("tokenizer/\(name)"), to: home.appendingPathComponent(name))
            }
            let whole = try AlignmentNetwork(PipelineFolder(folder))
            #expect(whole.embeddings(pictures) == own.embeddings(pictures))
            #expect(whole.embeddings(["a photo"]) == own.embeddings(["a photo"]))
        }
    }
}
