import Checkpoint
import Foundation
import ImageIO
import ModelFolder
import TensorEngine
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

    private func write(_ tensors: [String: [Int]], _ url: URL, changing: [String: Tensor] = [:]) throws {
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        let random = RandomWeights(seed: 3)
        var made: [String: Tensor] = [:]
        for (name, shape) in tensors { made[name] = try changing[name] ?? random.tensor(name, shape: shape) }
        try SafetensorsWriter.write(made, to: url)
    }

    private func norm(_ name: String, _ channels: Int) -> [String: [Int]] {
        Dictionary(
            uniqueKeysWithValues: ["weight", "bias", "running_mean", "running_var"].map {
                ("\(name).\($0)", [channels])
            })
    }

    /// An IResNet of four channels, a block in each layer.
    private func writeArcFace(_ folder: URL) throws {
        var tensors = ["conv1.weight": [4, 3, 3, 3], "prelu.weight": [4], "fc.weight": [8, 196], "fc.bias": [8]]
        tensors.merge(norm("bn1", 4)) { a, _ in a }
        tensors.merge(norm("bn2", 4)) { a, _ in a }
        tensors.merge(norm("features", 8)) { a, _ in a }
        var ones: [String: Tensor] = [:]
        for i in 1...4 {
            let block = "layer\(i).0"
            for j in 1...3 { tensors.merge(norm("\(block).bn\(j)", 4)) { a, _ in a } }
            tensors.merge(norm("\(block).downsample.1", 4)) { a, _ in a }
            tensors["\(block).conv1.weight"] = [4, 4, 3, 3]
            tensors["\(block).conv2.weight"] = [4, 4, 3, 3]
            tensors["\(block).downsample.0.weight"] = [4, 4, 1, 1]
            tensors["\(block).prelu.weight"] = [4]
        }
        for (name, shape) in tensors where name.hasSuffix("running_var") {
            ones[name] = Tensor(repeating: 1, shape: shape)
        }
        try write(tensors, folder.appendingPathComponent("evaluation/arcface/backbone.safetensors"), changing: ones)
    }

    /// MTCNN whose networks always, or never, see a face.
    private func writeMTCNN(_ folder: URL, seesFaces: Bool) throws {
        let sure = Tensor(seesFaces ? [-20, 20] : [20, -20], shape: [2])
        func layers(_ list: [(String, [Int])]) -> [String: [Int]] {
            var tensors: [String: [Int]] = [:]
            for (name, shape) in list {
                tensors["\(name).weight"] = shape
                if !name.hasPrefix("prelu") { tensors["\(name).bias"] = [shape[0]] }
            }
            return tensors
        }
        let home = folder.appendingPathComponent("evaluation/mtcnn")
        try write(
            layers([
                ("conv1", [10, 3, 3, 3]), ("prelu1", [10]), ("conv2", [16, 10, 3, 3]), ("prelu2", [16]),
                ("conv3", [32, 16, 3, 3]), ("prelu3", [32]), ("conv4_1", [2, 32, 1, 1]), ("conv4_2", [4, 32, 1, 1]),
            ]), home.appendingPathComponent("pnet.safetensors"), changing: ["conv4_1.bias": sure])
        try write(
            layers([
                ("conv1", [28, 3, 3, 3]), ("prelu1", [28]), ("conv2", [48, 28, 3, 3]), ("prelu2", [48]),
                ("conv3", [64, 48, 2, 2]), ("prelu3", [64]), ("dense4", [128, 576]), ("prelu4", [128]),
                ("dense5_1", [2, 128]), ("dense5_2", [4, 128]),
            ]), home.appendingPathComponent("rnet.safetensors"), changing: ["dense5_1.bias": sure])
        try write(
            layers([
                ("conv1", [32, 3, 3, 3]), ("prelu1", [32]), ("conv2", [64, 32, 3, 3]), ("prelu2", [64]),
                ("conv3", [64, 64, 3, 3]), ("prelu3", [64]), ("conv4", [128, 64, 2, 2]), ("prelu4", [128]),
                ("dense5", [256, 1152]), ("prelu5", [256]), ("dense6_1", [2, 256]), ("dense6_2", [4, 256]),
                ("dense6_3", [10, 256]),
            ]), home.appendingPathComponent("onet.safetensors"), changing: ["dense6_1.bias": sure])
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
            try writeArcFace(folder)
            #expect {
                _ = try IdentityNetwork(PipelineFolder(folder))
            } throws: { "\($0)".contains("evaluation/mtcnn") && "\($0)".contains("pnet.pt") }
        }
    }

    @Test func somethingElseInTheirPlaceIsRefused() throws {
        try withFolder { folder in
            try writeMTCNN(folder, seesFaces: true)
            try write(["a.weight": [2, 2]], folder.appendingPathComponent("evaluation/facenet/other.safetensors"))
            #expect {
                _ = try IdentityNetwork(PipelineFolder(folder))
            } throws: { "\($0)".contains("other.safetensors") && "\($0)".contains("InceptionResnetV1") }
        }
    }

    @Test func aPictureWithoutAFaceHasNoEmbedding() throws {
        try withFolder { folder in
            try writeArcFace(folder)
            try writeMTCNN(folder, seesFaces: false)
            let network = try #require(try IdentityNetwork(PipelineFolder(folder)))
            #expect(network.name == "ArcFace")
            #expect(network(pictures).allSatisfy { $0.embedding == nil && $0.faces == 0 })
        }
    }

    @Test func ofSeveralFacesTheLargestCounts() throws {
        try withFolder { folder in
            try writeArcFace(folder)
            try writeMTCNN(folder, seesFaces: true)
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
