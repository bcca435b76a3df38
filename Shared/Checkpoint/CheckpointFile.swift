public import Foundation
public import TensorEngine

/// A checkpoint in whichever form it lies: safetensors or torch, told by its first bytes; one file or several.
public enum CheckpointFile {
    /// Opens one file.
    public static func open(_ url: URL) throws -> any TensorSource {
        let file = try CheckpointBytes(url)
        if TorchFile.isRecognised(file.bytes) { return try TorchFile(file, description: url.path) }
        return try SafetensorsFile(url)
    }

    /// Opens the parts that an index file names (`*.safetensors.index.json`, `*.bin.index.json`).
    public static func open(index url: URL) throws -> any TensorSource { try ShardedCheckpoint(index: url) }
}

/// Several files that hold one model's tensors (transformers' and diffusers' sharded checkpoints).
struct ShardedCheckpoint: TensorSource {
    let description: String
    private let places: [String: any TensorSource]

    init(index url: URL) throws {
        description = url.path
        let weightMap = try Self.weightMap(url)
        let folder = url.deletingLastPathComponent()
        var files: [String: any TensorSource] = [:]
        var places: [String: any TensorSource] = [:]
        for (name, file) in weightMap {
            guard !file.contains("/"), !["", ".", ".."].contains(file) else {
                throw CheckpointError("\(url.path): names the file '\(file)', which is not beside it")
            }
            let source: any TensorSource
            do {
                source = try files[file] ?? CheckpointFile.open(folder.appendingPathComponent(file))
            } catch let error as CheckpointError {
                throw CheckpointError("\(url.path): names a file that cannot be read: \(error)")
            }
            files[file] = source
            guard source.shape(of: name) != nil else {
                throw CheckpointError("\(url.path): \(name) is not in \(file); the parts are of different checkpoints")
            }
            places[name] = source
        }
        self.places = places
    }

    /// Which file has which tensor: the index's `weight_map`.
    private static func weightMap(_ url: URL) throws -> [String: String] {
        let file = try CheckpointBytes(url)
        var map: [String: String]?
        var left = file.bytes.count + 4 << 20
        do {
            var scanner = JSONScanner(file.bytes)
            try scanner.object { scanner, key in
                guard key == "weight_map" else { return try scanner.skip() }
                var entries: [String: String] = [:]
                try scanner.object { scanner, name in
                    let part = try scanner.string(atMost: 1024)
                    left -= 256 + name.utf8.count + part.utf8.count
                    guard left >= 0, entries.updateValue(part, forKey: name) == nil else {
                        throw CheckpointError("\(url.path): has a tensor twice or too many; download it again")
                    }
                }
                map = entries
            }
            try scanner.end()
        } catch let error as JSONScanner.Malformed {
            throw CheckpointError("\(url.path): is no index of a checkpoint (\(error)); download it again")
        }
        guard let map, !map.isEmpty else {
            throw CheckpointError("\(url.path): is no index of a checkpoint (it has no weight_map); download it again")
        }
        return map
    }

    var names: [String] { Array(places.keys) }
    func shape(of name: String) -> [Int]? { places[name]?.shape(of: name) }
    func tensor(_ name: String) throws -> Tensor {
        guard let place = places[name] else { throw CheckpointError("\(description): has no tensor \(name)") }
        return try place.tensor(name)
    }
}
