import Foundation

/// The directory of a ZIP file whose entries are stored as they are, as torch writes them (APPNOTE.TXT 6.3; ZIP64 too).
struct ZipArchive {
    /// Where each entry's bytes are in the file, by name.
    let entries: [String: Range<Int>]

    static func isRecognised(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: [0x50, 0x4B, 3, 4]) }

    /// - Throws: `CheckpointError` for a file that is cut off, compressed or encrypted, or whose directory lies
    init(_ file: CheckpointBytes, name: String) throws {
        let reader = LittleEndianReader(bytes: file.bytes, name: name)
        let directory = try Self.directory(reader)
        var entries: [String: Range<Int>] = [:]
        var place = directory.start
        for _ in 0..<directory.count {
            guard try reader.number(place, 4) == 0x0201_4B50 else { throw reader.damaged("its directory is broken") }
            let (flags, method) = (try reader.number(place + 8, 2), try reader.number(place + 10, 2))
            var (packed, size) = (try reader.number(place + 20, 4), try reader.number(place + 24, 4))
            let nameLength = try reader.number(place + 28, 2)
            let extraLength = try reader.number(place + 30, 2)
            let commentLength = try reader.number(place + 32, 2)
            var header = try reader.number(place + 42, 4)
            guard let entry = String(validating: try reader.bytes(place + 46, nameLength), as: UTF8.self) else {
                throw reader.damaged("an entry's name is not UTF-8")
            }

            // ZIP64: what does not fit 32 bits is in the extra field, in this order.
            var extra = place + 46 + nameLength
            let extraEnd = extra + extraLength
            while extra + 4 <= extraEnd {
                let (id, length) = (try reader.number(extra, 2), try reader.number(extra + 2, 2))
                var field = extra + 4
                func next(_ value: Int) throws -> Int {
                    guard id == 1, value == 0xFFFF_FFFF, field + 8 <= extra + 4 + length else { return value }
                    defer { field += 8 }
                    return try reader.number(field, 8)
                }
                size = try next(size)
                packed = try next(packed)
                header = try next(header)
                extra += 4 + length
            }
            guard flags & 1 == 0 else { throw reader.damaged("\(entry) is encrypted") }
            guard method == 0, packed == size else {
                throw CheckpointError(
                    "\(name): \(entry) is compressed, which torch.save does not do; save the file with torch.save, or as "
                        + "safetensors")
            }
            guard try reader.number(header, 4) == 0x0403_4B50 else { throw reader.damaged("\(entry) is not there") }
            let skip = try reader.number(header + 26, 2) + reader.number(header + 28, 2)
            let start = header + 30 + skip
            _ = try reader.bytes(start, size)
            guard entries.updateValue(start..<start + size, forKey: entry) == nil else {
                throw reader.damaged("\(entry) is there twice")
            }
            place = extraEnd + commentLength
        }
        self.entries = entries
    }

    /// The end of the central directory says where it starts and how many entries it has.
    private static func directory(_ reader: LittleEndianReader) throws -> (start: Int, count: Int) {
        let size = reader.bytes.count
        guard size >= 22 else { throw reader.damaged("only \(size) bytes long") }
        guard
            let end = stride(from: size - 22, through: max(0, size - 22 - 65_535), by: -1).first(where: {
                reader.bytes.loadUnaligned(fromByteOffset: $0, as: UInt32.self).littleEndian == 0x0605_4B50
            })
        else { throw reader.damaged("its end is missing") }
        var (count, start) = (try reader.number(end + 10, 2), try reader.number(end + 16, 4))
        if count == 0xFFFF || start == 0xFFFF_FFFF, end >= 20, try reader.number(end - 20, 4) == 0x0706_4B50 {
            let large = try reader.number(end - 12, 8)
            guard try reader.number(large, 4) == 0x0606_4B50 else { throw reader.damaged("its directory is broken") }
            (count, start) = (try reader.number(large + 32, 8), try reader.number(large + 48, 8))
        }
        // A directory entry takes 46 bytes at least, and about ten times as many in memory.
        guard count <= size / 46, count * 512 <= size + 8 << 20 else {
            throw reader.damaged("its directory cannot have \(count) entries")
        }
        return (start, count)
    }
}

/// Bounds-checked reads of little-endian numbers.
struct LittleEndianReader {
    let bytes: UnsafeRawBufferPointer
    /// The file, for messages.
    let name: String

    func damaged(_ what: String) -> CheckpointError {
        CheckpointError("\(name): not a valid torch file: \(what); copy or download it again")
    }

    /// An unsigned number of `width` bytes at `place`.
    func number(_ place: Int, _ width: Int) throws -> Int {
        let part = try bytes(place, width)
        let value = part.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard value <= UInt64(Int.max / 4) else { throw damaged("a size of \(value)") }
        return Int(value)
    }

    /// `count` bytes at `place`.
    func bytes(_ place: Int, _ count: Int) throws -> UnsafeRawBufferPointer {
        guard place >= 0, count >= 0, place <= bytes.count, count <= bytes.count - place else {
            throw damaged("it ends too early")
        }
        return UnsafeRawBufferPointer(rebasing: bytes[place..<place + count])
    }
}
