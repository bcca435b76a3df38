public import Foundation
public import TensorEngine

/// Writes `.safetensors` files.
public enum SafetensorsWriter {
    /// The file's bytes: tensors in name order, so that the same tensors always give the same bytes.
    ///
    /// - Parameter half: store F16, rounded to nearest, rather than F32
    public static func data(
        _ tensors: [String: Tensor], metadata: [String: String] = [:], half: Bool = false
    ) throws -> Data {
        var header: [String: Any] = metadata.isEmpty ? [:] : ["__metadata__": metadata]
        var end = 0
        let sorted = tensors.sorted { $0.key < $1.key }
        for (name, tensor) in sorted {
            let begin = end
            end += tensor.count * (half ? 2 : 4)
            header[name] = ["dtype": half ? "F16" : "F32", "shape": tensor.shape, "data_offsets": [begin, end]]
        }
        var json = try JSONSerialization.data(withJSONObject: header, options: [.sortedKeys, .withoutEscapingSlashes])
        json.append(Data(repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8))
        var data = Data(capacity: 8 + json.count + end)
        withUnsafeBytes(of: UInt64(json.count).littleEndian) { data.append(contentsOf: $0) }
        data.append(json)
        for (_, tensor) in sorted {
            tensor.withUnsafeBuffer { numbers in
                if half {
                    numbers.map { HalfPrecision.bits($0) }.withUnsafeBufferPointer { data.append(Data(buffer: $0)) }
                } else {
                    data.append(Data(buffer: numbers))
                }
            }
        }
        return data
    }

    /// Writes the file whole or not at all: a reader never sees half of it.
    public static func write(
        _ tensors: [String: Tensor], metadata: [String: String] = [:], half: Bool = false, to url: URL
    ) throws {
        do {
            try data(tensors, metadata: metadata, half: half).write(to: url, options: .atomic)
        } catch {
            throw CheckpointError(
                "\(url.path): cannot be written (\(error.localizedDescription)); what was there before is unchanged. "
                    + "Free some space or check the folder's rights, and start again")
        }
    }
}

/// Numbers of 16 bits; Swift's Float16 is not to be had on every Linux.
enum HalfPrecision {
    /// The nearest number, ties to even.
    static func bits(_ x: Float, _ format: HalfFormat) -> UInt16 {
        if format == .f16 { return bits(x) }
        let bits = x.bitPattern
        return UInt16(truncatingIfNeeded: x.isNaN ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16) & 1) >> 16)
    }

    /// The nearest IEEE 754 half, ties to even; too large is infinite.
    static func bits(_ x: Float) -> UInt16 {
        let bits = x.bitPattern
        let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
        let magnitude = bits & 0x7fff_ffff
        if magnitude > 0x7f80_0000 { return sign | 0x7e00 }
        if magnitude >= 0x4780_0000 { return sign | 0x7c00 }
        if magnitude < 0x3880_0000 {  // subnormal: adding 1/2 lines its bits up with the half's
            let shifted = Float(bitPattern: magnitude) + 0.5
            return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- Float(0.5).bitPattern)
        }
        let odd = (magnitude >> 13) & 1
        return sign | UInt16(truncatingIfNeeded: (magnitude &- 0x3800_0000 &+ 0xfff &+ odd) >> 13)
    }
}
