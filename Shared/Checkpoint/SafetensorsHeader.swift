/// The JSON table at the start of a `.safetensors` file.
struct SafetensorsHeader {
    /// Tensors by name; their ranges are not compared with the file or each other yet.
    private(set) var entries: [String: SafetensorsFile.Entry] = [:]
    /// `__metadata__`.
    private(set) var metadata: [String: String] = [:]

    /// What is wrong, in words.
    struct Problem: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// What an entry takes in memory, at most, besides its name.
    private static let entrySize = 512
    /// No tensor has more axes.
    private static let axes = 64

    /// - Parameter memory: bytes that the table may take
    init(_ bytes: UnsafeRawBufferPointer, memory: Int) throws {
        var left = memory
        func spend(_ bytes: Int) throws(Problem) {
            left -= bytes
            guard left >= 0 else { throw Problem("its header names more tensors than a file of this size can have") }
        }
        var (entries, metadata) = (entries, metadata)
        var scanner = JSONScanner(bytes)
        do {
            try scanner.object { scanner, name in
                try spend(Self.entrySize + name.utf8.count)
                guard name != "__metadata__" else {
                    try scanner.object { scanner, key in
                        let value = try scanner.string()
                        try spend(Self.entrySize / 2 + key.utf8.count + value.utf8.count)
                        metadata[key] = value
                    }
                    return
                }
                let entry = try Self.entry(name, &scanner)
                guard entries.updateValue(entry, forKey: name) == nil else { throw Problem("\(name) is there twice") }
            }
            try scanner.end()
        } catch let error as JSONScanner.Malformed {
            throw Problem("its header is not the JSON object that it should be (\(error))")
        }
        (self.entries, self.metadata) = (entries, metadata)
    }

    private static func entry(_ name: String, _ scanner: inout JSONScanner) throws -> SafetensorsFile.Entry {
        var dtype: String?
        var (shape, offsets): ([Int]?, [Int]?)
        func integers(_ scanner: inout JSONScanner, atMost limit: Int, _ what: String) throws -> [Int] {
            var integers: [Int] = []
            try scanner.array {
                integers.append(try $0.integer())
                guard integers.count <= limit else { throw Problem("\(name) has too many numbers in its \(what)") }
            }
            return integers
        }
        try scanner.object { scanner, key in
            switch key {
            case "dtype": dtype = try scanner.string(atMost: 16)
            case "shape": shape = try integers(&scanner, atMost: axes, key)
            case "data_offsets": offsets = try integers(&scanner, atMost: 2, key)
            default: try scanner.skip()
            }
        }
        guard let dtype, let shape, let offsets, offsets.count == 2 else {
            throw Problem("the entry of \(name) is incomplete")
        }
        return try SafetensorsFile.Entry(name, dtype, shape, offsets)
    }
}
