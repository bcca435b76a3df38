internal import CKernels
import Foundation
public import TensorEngine

/// A tensor as it lies in a checkpoint: a number format, a shape, and where its bytes are.
struct StoredTensor: Sendable {
    let file: CheckpointBytes
    let dtype: SafetensorsFile.DType
    let shape: [Int]
    /// The bytes in the file, row-major without gaps unless there are `strides`.
    let range: Range<Int>
    /// Distance between neighbours along each axis, in numbers; nil for row-major.
    var strides: [Int]?

    /// The numbers: the file's own pages where they are F32, F16 or BF16 and aligned, a widened copy otherwise.
    func tensor() throws -> Tensor {
        if let strides { return gathered(strides) }
        let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[range])
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return .zeros(shape) }
        switch dtype {
        case .f32 where UInt(bitPattern: base) % 4 == 0:
            let count = range.count / 4
            return Tensor(borrowing: base.bindMemory(to: Float.self, capacity: count), shape: shape, owner: file)
        case .f16, .bf16:
            guard UInt(bitPattern: base) % 2 == 0 else {
                return Tensor(shape: shape, longLived: true) { out in
                    for i in out.indices { out[i] = number(bytes, i) }
                }
            }
            return Tensor(
                borrowing: base.assumingMemoryBound(to: UInt16.self), dtype == .f16 ? .f16 : .bf16, shape: shape,
                owner: file)
        default:
            return Tensor(shape: shape) { out in for i in out.indices { out[i] = number(bytes, i) } }
        }
    }

    /// Number `i` of `bytes`.
    private func number(_ bytes: UnsafeRawBufferPointer, _ i: Int) -> Float {
        func read<T>(_ type: T.Type) -> T {
            bytes.loadUnaligned(fromByteOffset: i * MemoryLayout<T>.size, as: type)
        }
        func widened(_ kernel: (UnsafeMutablePointer<Float>?, UnsafePointer<UInt16>?, Int) -> Void) -> Float {
            var (half, float) = (read(UInt16.self), Float(0))
            kernel(&float, &half, 1)
            return float
        }
        switch dtype {
        case .f64: return Float(read(Double.self))
        case .f32: return read(Float.self)
        case .f16: return widened { lk_half_to_float($0, $1, $2) }
        case .bf16: return widened { lk_bfloat_to_float($0, $1, $2) }
        case .i64: return Float(read(Int64.self))
        case .i32: return Float(read(Int32.self))
        case .i16: return Float(read(Int16.self))
        case .i8: return Float(read(Int8.self))
        case .u8, .bool: return Float(read(UInt8.self))
        }
    }

    /// The numbers in the order of the bytes, as doubles.
    func doubles() -> [Double] {
        let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[range])
        func read<T>(_ type: T.Type, _ convert: (T) -> Double) -> [Double] {
            (0..<bytes.count / MemoryLayout<T>.size).map {
                convert(bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.size, as: T.self))
            }
        }
        func widen(_ kernel: (UnsafeMutablePointer<Float>?, UnsafePointer<UInt16>?, Int) -> Void) -> [Double] {
            let halves = (0..<bytes.count / 2).map { bytes.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self) }
            var floats = [Float](repeating: 0, count: halves.count)
            floats.withUnsafeMutableBufferPointer { kernel($0.baseAddress, halves, halves.count) }
            return floats.map(Double.init)
        }
        switch dtype {
        case .f64: return read(Double.self) { $0 }
        case .f32: return read(Float.self) { Double($0) }
        case .f16: return widen { lk_half_to_float($0, $1, $2) }
        case .bf16: return widen { lk_bfloat_to_float($0, $1, $2) }
        case .i64: return read(Int64.self) { Double($0) }
        case .i32: return read(Int32.self) { Double($0) }
        case .i16: return read(Int16.self) { Double($0) }
        case .i8: return read(Int8.self) { Double($0) }
        case .u8, .bool: return read(UInt8.self) { Double($0) }
        }
    }

    /// A transposed or sliced view, put into row-major order.
    private func gathered(_ strides: [Int]) -> Tensor {
        let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[range])
        return Tensor(shape: shape) { out in
            var next = 0
            func walk(_ axis: Int, _ offset: Int) {
                guard axis < shape.count else {
                    out[next] = number(bytes, offset)
                    next += 1
                    return
                }
                for i in 0..<shape[axis] { walk(axis + 1, offset + i * strides[axis]) }
            }
            if !shape.contains(0) { walk(0, 0) }
        }
    }
}
