import Foundation

/// Writes pickles, right or wrong, and the files that torch puts them in.
struct PickleWriter {
    var bytes = Data([0x80, 2])

    mutating func code(_ character: Unicode.Scalar) { bytes.append(UInt8(ascii: character)) }

    mutating func global(_ module: String, _ name: String) { bytes += Data("c\(module)\n\(name)\n".utf8) }

    mutating func text(_ text: String) {
        code("X")
        bytes.little(UInt64(text.utf8.count), 4)
        bytes += Data(text.utf8)
    }

    mutating func integer(_ value: Int) {
        bytes += Data([0x8A, 8])
        bytes.little(UInt64(bitPattern: Int64(value)), 8)
    }

    mutating func tuple(_ values: [Int]) {
        code("(")
        for value in values { integer(value) }
        code("t")
    }

    /// A tensor in storage "0".
    mutating func tensor(
        type: String = "FloatStorage", count: Int = 16, offset: Int = 0, shape: [Int] = [16], strides: [Int] = [1],
        key: String = "0"
    ) {
        global("torch._utils", "_rebuild_tensor_v2")
        code("(")
        code("(")
        text("storage")
        global("torch", type)
        text(key)
        text("cpu")
        integer(count)
        code("t")
        code("Q")
        integer(offset)
        tuple(shape)
        tuple(strides)
        bytes.append(0x89)
        global("collections", "OrderedDict")
        code(")")
        code("R")
        code("t")
        code("R")
    }

    /// {"w": a tensor}
    static func model(_ tensor: (inout PickleWriter) -> Void) -> Data {
        var pickle = PickleWriter()
        pickle.code("}")
        pickle.text("w")
        tensor(&pickle)
        pickle.code("s")
        pickle.code(".")
        return pickle.bytes
    }

    // MARK: Files

    /// A ZIP file, stored, as torch.save writes; the checksums are zero, which torch does not mind.
    static func zip(_ entries: [(name: String, bytes: Data)]) -> Data {
        var (file, directory) = (Data(), Data())
        for (name, bytes) in entries {
            let start = file.count
            func header(_ signature: UInt64) -> Data {
                var header = Data()
                header.little(signature, 4)
                if signature == 0x0201_4B50 { header.little(20, 2) }
                for field in [20, 0, 0, 0, 0] as [UInt64] { header.little(field, 2) }
                header.little(0, 4)
                header.little(UInt64(bytes.count), 4)
                header.little(UInt64(bytes.count), 4)
                header.little(UInt64(name.utf8.count), 2)
                header.little(0, 2)
                return header
            }
            file += header(0x0403_4B50) + Data(name.utf8) + bytes
            directory += header(0x0201_4B50)
            directory += Data(count: 10)
            directory.little(UInt64(start), 4)
            directory += Data(name.utf8)
        }
        let start = file.count
        file += directory
        file.little(0x0605_4B50, 4)
        file += Data(count: 4)
        for _ in 0..<2 { file.little(UInt64(entries.count), 2) }
        file.little(UInt64(directory.count), 4)
        file.little(UInt64(start), 4)
        file.little(0, 2)
        return file
    }

    /// A checkpoint of today's form: the pickle and storage "0".
    static func archive(_ pickle: Data, storage: Data = Data(count: 64)) -> Data {
        zip([("archive/data.pkl", pickle), ("archive/byteorder", Data("little".utf8)), ("archive/data/0", storage)])
    }

    /// A checkpoint of the older form.
    static func legacy(_ pickle: Data, storage: Data = Data(count: 64)) -> Data {
        var file = Data([0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19])
        file += Data(".".utf8) + Data([0x80, 2, 0x4D, 0xE9, 3]) + Data(".".utf8) + Data([0x80, 2]) + Data("}.".utf8)
        file += pickle + Data([0x80, 2]) + Data("](X".utf8) + Data([1, 0, 0, 0]) + Data("0e.".utf8)
        file.little(UInt64(storage.count / 4), 8)
        return file + storage
    }
}
