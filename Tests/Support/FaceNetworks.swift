internal import Checkpoint
public import Foundation
internal import TensorEngine

/// Small random face networks, as they lie in a model folder's `evaluation/`.
public enum FaceNetworks {
    /// ArcFace: an IResNet of four channels, a block in each layer, with embeddings of `width`.
    public static func writeArcFace(_ folder: URL, width: Int = 8) throws {
        var tensors = [
            "conv1.weight": [4, 3, 3, 3], "prelu.weight": [4], "fc.weight": [width, 196], "fc.bias": [width],
        ]
        func add(_ name: String, _ channels: Int) {
            for part in ["weight", "bias", "running_mean", "running_var"] { tensors["\(name).\(part)"] = [channels] }
        }
        add("bn1", 4)
        add("bn2", 4)
        add("features", width)
        for i in 1...4 {
            let block = "layer\(i).0"
            for j in 1...3 { add("\(block).bn\(j)", 4) }
            add("\(block).downsample.1", 4)
            tensors["\(block).conv1.weight"] = [4, 4, 3, 3]
            tensors["\(block).conv2.weight"] = [4, 4, 3, 3]
            tensors["\(block).downsample.0.weight"] = [4, 4, 1, 1]
            tensors["\(block).prelu.weight"] = [4]
        }
        var ones: [String: Tensor] = [:]
        for (name, shape) in tensors where name.hasSuffix("running_var") {
            ones[name] = Tensor(repeating: 1, shape: shape)
        }
        try write(tensors, folder.appendingPathComponent("evaluation/arcface/backbone.safetensors"), changing: ones)
    }

    /// MTCNN whose networks always, or never, see a face.
    public static func writeMTCNN(_ folder: URL, seesFaces: Bool) throws {
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

    /// Writes random tensors of these shapes, but for some that are given.
    private static func write(_ tensors: [String: [Int]], _ url: URL, changing: [String: Tensor] = [:]) throws {
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        let random = RandomWeights(seed: 3)
        var made: [String: Tensor] = [:]
        for (name, shape) in tensors { made[name] = try changing[name] ?? random.tensor(name, shape: shape) }
        try SafetensorsWriter.write(made, to: url)
    }
}
