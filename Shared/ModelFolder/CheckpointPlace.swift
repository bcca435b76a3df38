internal import Checkpoint
import Foundation

/// Where the weights of one part of a pipeline lie, in any of the layouts that diffusers and transformers write.
struct CheckpointPlace {
    private let url: URL
    private var isIndex: Bool { url.lastPathComponent.contains(".index.") }

    /// Looks for `name` in a folder: safetensors before torch's files, whole files before sharded ones, full precision
    /// before fp16.
    static func find(in folder: URL, _ name: String) throws -> CheckpointPlace {
        // transformers calls its torch files otherwise.
        let torch = name == "model" ? "pytorch_model" : name
        let candidates = [
            "\(name).safetensors", "\(name).safetensors.index.json", "\(name).fp16.safetensors",
            "\(name).safetensors.index.fp16.json", "\(name).fp16.safetensors.index.json",
            "\(torch).bin", "\(torch).bin.index.json", "\(torch).fp16.bin", "\(torch).bin.index.fp16.json",
        ]
        guard
            let found = candidates.map(folder.appendingPathComponent).first(where: {
                FileManager.default.fileExists(atPath: $0.path)
            })
        else {
            throw CheckpointError(
                "\(folder.path): has no weights; it needs one of \(candidates.joined(separator: ", "))")
        }
        return CheckpointPlace(url: found)
    }

    /// Opens them.
    func open() throws -> any TensorSource {
        try isIndex ? CheckpointFile.open(index: url) : CheckpointFile.open(url)
    }

    /// All files that the weights are in, in a fixed order: for a hash.
    func files() throws -> [URL] {
        guard isIndex else { return [url] }
        struct Index: Decodable { var weight_map: [String: String] }
        let index = try PipelineFolder.decode(url, Index.self)
        let folder = url.deletingLastPathComponent()
        return [url] + Set(index.weight_map.values).sorted().map { folder.appendingPathComponent($0) }
    }
}
