public import Foundation
public import TensorEngine

/// Writes `.safetensors` files.
public enum SafetensorsWriter {
    /// The file's bytes: tensors in name order as F32, so that the same tensors always give the same bytes.
    public static func data(_ tensors: [String: Tensor], metadata: [String: String] = [:]) throws -> Data {
        var header: [String: Any] = metadata.isEmpty ? [:] : ["__metadata__": metadata]
        var end = 0
        let sorted = tensors.sorted { $0.key < $1.key }
        for (name, tensor) in sorted {
            let begin = end
            end += tensor.count * MemoryLayout<Float>.size
            header[name] = ["dtype": "F32", "shape": tensor.shape, "data_offsets": [begin, end]]
        }
        var json = try JSONSerialization.data(withJSONObject: header, options: [.sortedKeys, .withoutEscapingSlashes])
        json.append(Data(repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8))
        var data = Data(capacity: 8 + json.count + end)
        withUnsafeBytes(of: UInt64(json.count).littleEndian) { data.append(contentsOf: $0) }
        data.append(json)
        for (_, tensor) in sorted {
            tensor.withUnsafeBuffer { data.append(Data(buffer: $0)) }
        }
        return data
    }

    /// Writes the file whole or not at all: a reader never sees half of it.
    public static func write(_ tensors: [String: Tensor], metadata: [String: String] = [:], to url: URL) throws {
        try data(tensors, metadata: metadata).write(to: url, options: .atomic)
    }
}
