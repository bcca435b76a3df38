public import Foundation
public import TensorEngine

/// A `.safetensors` file, memory-mapped.
///
/// Format (huggingface/safetensors): 8 bytes little-endian header length, a JSON object
/// `{name: {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {…}}`, then the tensors' bytes; offsets
/// count from the end of the header. F32, F16 and BF16 tensors are read in place.
public struct SafetensorsFile: TensorSource {
    /// The number formats that Likeness reads.
    public enum DType: String, Sendable {
        case f64 = "F64"
        case f32 = "F32"
        case f16 = "F16"
        case bf16 = "BF16"
        case i64 = "I64"
        case i32 = "I32"
        case i16 = "I16"
        case i8 = "I8"
        case u8 = "U8"
        case bool = "BOOL"

        /// Bytes of one number.
        var size: Int {
            switch self {
            case .f64, .i64: 8
            case .f32, .i32: 4
            case .f16, .bf16, .i16: 2
            case .i8, .u8, .bool: 1
            }
        }
    }

    /// Where one tensor lies.
    public struct Entry: Sendable {
        /// Number format.
        public let dtype: DType
        /// Extent of each axis.
        public let shape: [Int]
        /// Byte range from the end of the header.
        let range: Range<Int>

        /// - Throws: a text, if the numbers do not fit each other
        init(_ name: String, _ kind: String, _ shape: [Int], _ offsets: [Int]) throws(SafetensorsHeader.Problem) {
            guard let dtype = DType(rawValue: kind) else { throw .init("\(name) has the unknown dtype \(kind)") }
            guard shape.allSatisfy({ $0 >= 0 }), offsets[0] >= 0, offsets[0] <= offsets[1] else {
                throw .init("\(name) lies outside the file")
            }
            var bytes = dtype.size
            for extent in shape {
                let (product, overflow) = bytes.multipliedReportingOverflow(by: extent)
                guard !overflow else { throw .init("\(name) is impossibly large") }
                bytes = product
            }
            guard bytes == offsets[1] - offsets[0] else {
                throw .init("\(name) has \(offsets[1] - offsets[0]) bytes, its shape \(shape) needs \(bytes)")
            }
            (self.dtype, self.shape, range) = (dtype, shape, offsets[0]..<offsets[1])
        }
    }

    /// The file's path, or what its bytes were said to be.
    public let description: String
    /// Tensors by name.
    public let entries: [String: Entry]
    /// The header's `__metadata__`.
    public let metadata: [String: String]
    private let file: CheckpointBytes
    /// Where the tensors' bytes begin.
    private let start: Int

    /// A header larger than this is no header (the reference implementation's own limit).
    private static let headerLimit = 100_000_000

    /// Maps the file and checks its header: nothing outside the file and no overlap is ever read.
    public init(_ url: URL) throws { try self.init(CheckpointBytes(url), description: url.path) }

    /// Reads a file's bytes, called `name` in messages.
    public init(_ data: Data, name: String) throws { try self.init(CheckpointBytes(data), description: name) }

    private init(_ file: CheckpointBytes, description: String) throws {
        func fail(_ what: String) -> CheckpointError {
            CheckpointError("\(description): not a valid safetensors file: \(what); copy or download it again")
        }
        guard file.bytes.count >= 8 else { throw fail("only \(file.bytes.count) bytes long") }
        let length = file.bytes.loadUnaligned(as: UInt64.self).littleEndian
        guard length <= Self.headerLimit, Int(length) <= file.bytes.count - 8 else {
            throw fail("its header of \(length) bytes does not fit")
        }
        let header = UnsafeRawBufferPointer(rebasing: file.bytes[8..<8 + Int(length)])
        let table: SafetensorsHeader
        do { table = try SafetensorsHeader(header, memory: file.bytes.count + Self.allowance) } catch {
            throw fail("\(error)")
        }
        // In the order of their bytes, tensors fill the rest of the file without gaps, as the format wants.
        let size = file.bytes.count - 8 - Int(length)
        var end = 0
        for (name, entry) in table.entries.sorted(by: { a, b in
            (a.value.range.lowerBound, a.value.range.upperBound) < (b.value.range.lowerBound, b.value.range.upperBound)
        }) {
            guard entry.range.upperBound <= size else { throw fail("\(name) lies outside the file") }
            guard entry.range.lowerBound >= end else { throw fail("\(name) overlaps another tensor") }
            guard entry.range.lowerBound == end else { throw fail("there is a gap before \(name)") }
            end = entry.range.upperBound
        }
        guard end == size else { throw fail("\(size - end) bytes behind the tensors belong to none") }
        (self.description, self.file, start) = (description, file, 8 + Int(length))
        (entries, metadata) = (table.entries, table.metadata)
    }

    /// What a small file's table may take in memory beyond the file's size.
    private static let allowance = 4 << 20

    /// Names of all tensors.
    public var names: [String] { Array(entries.keys) }

    /// The shape of `name`, or nil if there is none.
    public func shape(of name: String) -> [Int]? { entries[name]?.shape }

    /// The floats of `name`.
    public func tensor(_ name: String) throws -> Tensor { try stored(name).tensor() }

    /// The numbers of `name`, whatever its format, as doubles in row-major order.
    public func doubles(_ name: String) throws -> [Double] { try stored(name).doubles() }

    /// The bytes of a U8 tensor.
    public func bytes(_ name: String) throws -> [UInt8] {
        let stored = try stored(name)
        guard stored.dtype == .u8 || stored.dtype == .bool else {
            throw CheckpointError("\(description): \(name) is \(stored.dtype.rawValue), not U8")
        }
        return Array(file.bytes[stored.range])
    }

    private func stored(_ name: String) throws -> StoredTensor {
        guard let entry = entries[name] else { throw CheckpointError("\(description): has no tensor \(name)") }
        let range = start + entry.range.lowerBound..<start + entry.range.upperBound
        return StoredTensor(file: file, dtype: entry.dtype, shape: entry.shape, range: range)
    }
}
