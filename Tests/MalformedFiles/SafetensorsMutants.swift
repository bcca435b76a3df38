import Foundation

/// Safetensors files with wrong headers, sizes, offsets and weights, and index files.
enum SafetensorsMutants {
    private static let name = "weights.safetensors"

    private static func file(_ header: String, _ data: Data) -> Data { file(Data(header.utf8), data) }

    private static func file(_ header: Data, _ data: Data) -> Data {
        var file = Data()
        file.little(UInt64(header.count), 8)
        return file + header + data
    }

    /// a: F32 [4, 8] at 0, b: F16 [16] at 128, c: BF16 [2, 8] at 160, d: F64 [4] at 192 … 224.
    private static let entries = [
        ("a", "F32", "[4,8]", "[0,128]"), ("b", "F16", "[16]", "[128,160]"), ("c", "BF16", "[2,8]", "[160,192]"),
        ("d", "F64", "[4]", "[192,224]"),
    ]
    private static let numbers = Data((0..<224).map { UInt8($0 % 60) })

    private static func header(
        replacing index: Int? = nil, dtype: String? = nil, shape: String? = nil, offsets: String? = nil,
        name: String? = nil
    ) -> String {
        let parts = entries.enumerated().map { i, entry in
            let changed = i == index
            let (n, d) = (
                changed ? name ?? "\"\(entry.0)\"" : "\"\(entry.0)\"",
                changed ? dtype ?? "\"\(entry.1)\"" : "\"\(entry.1)\""
            )
            let (s, o) = (changed ? shape ?? entry.2 : entry.2, changed ? offsets ?? entry.3 : entry.3)
            return "\(n):{\"dtype\":\(d),\"shape\":\(s),\"data_offsets\":\(o)}"
        }
        return "{\"__metadata__\":{\"format\":\"pt\"}," + parts.joined(separator: ",") + "}"
    }

    static func all(bombs: Bool) -> [Mutant] {
        let whole = file(header(), numbers)
        var mutants: [Mutant] = []
        func add(_ what: String, mustFail: Bool = true, _ bytes: @autoclosure @escaping () -> Data) {
            mutants.append(Mutant("safetensors: \(what)", .checkpoint, name, mustFail: mustFail, bytes()))
        }
        add("as it should be", mustFail: false, whole)
        for length in stride(from: 0, to: whole.count, by: 3) { add("cut at \(length)", whole.prefix(length)) }
        add("24 bytes too many", whole + Data(count: 24))
        let length = UInt64(header().utf8.count)
        let count = UInt64(whole.count)
        let wrongLengths: [UInt64] = [
            0, 1, 7, length - 1, length + 1, length + 8, count, count - 7, 1 << 20, 100_000_001, 1 << 31, 1 << 32,
            1 << 53,
            1 << 62, 1 << 63, .max, .max - 7,
        ]
        for wrong in wrongLengths {
            var size = Data()
            size.little(wrong, 8)
            add("header of \(wrong) bytes", whole.replacing(at: 0, Array(size)))
        }
        for (i, character) in header().utf8.enumerated() where "{}[]:,\"".utf8.contains(character) {
            var text = Array(header().utf8)
            text.remove(at: i)
            add("header without its character \(i)", file(Data(text), numbers))
        }
        for i in entries.indices {
            for dtype in ["\"F32x\"", "\"f32\"", "\"F8_E4M3\"", "\"\"", "7", "null", "[]", "{}", "\"I64\"", "\"U8\""] {
                if i == 3, dtype == "\"I64\"" { continue }  // as wide as its own
                add("\(entries[i].0) with dtype \(dtype)", file(header(replacing: i, dtype: dtype), numbers))
            }
            for shape in [
                "[3,3]", "[1000000]", "[-4,-8]", "[-1]", "[0]", "[4.5]", "[1e9]", "[\"4\"]", "null", "4", "[[4]]",
                "[9223372036854775807]", "[9223372036854775807,2]", "[4611686018427387904,4]", "[18446744073709551616]",
                "[" + Array(repeating: "1", count: 5000).joined(separator: ",") + "]",
            ] {
                add("\(entries[i].0) with shape \(shape.prefix(24))", file(header(replacing: i, shape: shape), numbers))
            }
            for offsets in [
                "[0,224]", "[4,132]", "[-4,124]", "[128,0]", "[0]", "[]", "[0,128,256]", "null", "[\"0\",\"128\"]",
                "[224,352]", "[9223372036854775680,9223372036854775807]", "[0.5,128.5]", "[100,228]",
                "[9999999999999999999999,1]",
            ] { add("\(entries[i].0) at \(offsets.prefix(24))", file(header(replacing: i, offsets: offsets), numbers)) }
            let next = entries[(i + 1) % 4].0
            add("\(entries[i].0) twice", file(header(replacing: i, name: "\"\(next)\""), numbers))
            add("\(entries[i].0) with a name that is a number", file(header(replacing: i, name: "5"), numbers))
        }
        for text in [
            "", "[]", "5", "null", "\"x\"", "{", "}", "{}x", "{\"a\"}", "{\"a\":5}", "{\"__metadata__\":5}",
            "{\"__metadata__\":{\"a\":5}}", "{\"a\":{}}", "{,}", "{\"a\\u12\":{}}", "{\"\\ud800\":{}}", "{\"a\\q\":{}}",
        ] { add("header \(text)", file(text, numbers)) }
        add("a name that is not UTF-8", file(Data("{\"".utf8) + Data([0xFF, 0xFE]) + Data("\":{}}".utf8), numbers))
        add("a name with a zero byte", file(Data("{\"".utf8) + Data([0]) + Data("\":{}}".utf8), numbers))
        // What is not a number, in each format and at several places.
        let bad: [(String, Int, Int, [[UInt8]])] = [
            ("a", 0, 4, [[0, 0, 0xC0, 0x7F], [0, 0, 0x80, 0x7F], [0, 0, 0x80, 0xFF], [1, 0, 0x80, 0x7F]]),
            ("b", 128, 2, [[0, 0x7E], [0, 0x7C], [0, 0xFC]]),
            ("c", 160, 2, [[0xC0, 0x7F], [0x80, 0x7F], [0x80, 0xFF]]),
            (
                "d", 192, 8,
                [[0, 0, 0, 0, 0, 0, 0xF8, 0x7F], [0, 0, 0, 0, 0, 0, 0xF0, 0x7F], [0, 0, 0, 0, 0, 0, 0xF0, 0x47]]
            ),
        ]
        for (tensor, start, width, patterns) in bad {
            for place in [0, 1, 3] {
                for pattern in patterns {
                    let header = header()
                    add(
                        "\(tensor) with \(pattern) at \(place)",
                        file(header, numbers.replacing(at: start + place * width, pattern)))
                }
            }
        }
        var dice = Dice(1)
        for i in 0..<200 {
            let flipped = dice.flipped(whole, i % 2 == 0 ? 0..<Int(length) + 8 : nil)
            add("bytes changed (\(i))", mustFail: false, flipped)
        }
        mutants += indices()
        return bombs ? mutants + Self.bombs() : mutants
    }

    private static func bombs() -> [Mutant] {
        let size = 12 << 20
        func many(_ text: String) -> Data {
            let part = Data(text.utf8)
            var data = Data(capacity: size + part.count)
            while data.count < size { data += part }
            return data
        }
        /// Numbers as names, all of one value.
        func entries(_ begin: String, _ value: String, _ end: String) -> Data {
            var data = Data(begin.utf8)
            var i = 0
            while data.count < size {
                data += Data("\"\(i)\":\(value),".utf8)
                i += 1
            }
            return data.dropLast() + Data(end.utf8)
        }
        func bomb(_ what: String, _ header: @autoclosure @escaping () -> Data) -> Mutant {
            Mutant("safetensors: 12 MB of \(what)", .checkpoint, name, file(header(), Data()))
        }
        return [
            bomb("spaces", many("        ")), bomb("brackets", many("[[[[[[[[")),
            bomb("brackets in an entry", Data("{\"a\":{\"x\":".utf8) + many("[[[[[[[[")),
            bomb("objects", Data("{\"a\":".utf8) + many("{\"a\":")),
            bomb("numbers in a shape", Data("{\"a\":{\"dtype\":\"F32\",\"shape\":[".utf8) + many("0,")),
            bomb("a name", Data("{\"".utf8) + many("aaaaaaaa")),
            bomb("a name with escapes", Data("{\"".utf8) + many("\\u0041")),
            bomb("a dtype", Data("{\"a\":{\"dtype\":\"".utf8) + many("F32F32F3")),
            bomb("empty tensors", entries("{", #"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#, "}")),
            bomb("metadata", entries(#"{"__metadata__":{"#, "\"\"", "}}")),
        ]
    }

    /// Index files; their parts do not exist.
    private static func indices() -> [Mutant] {
        let good = "{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}"
        var mutants: [Mutant] = []
        func add(_ what: String, _ text: String) {
            mutants.append(Mutant("index: \(what)", .index, "model.safetensors.index.json", Data(text.utf8)))
        }
        for length in 0..<good.utf8.count { add("cut at \(length)", String(good.prefix(length))) }
        for text in [
            "[]", "{}", "{\"weight_map\":{}}", "{\"weight_map\":[]}", "{\"weight_map\":null}",
            "{\"weight_map\":{\"a\":5}}",
            "{\"weight_map\":{\"a\":null}}", "{\"weight_map\":{\"a\":\"missing.safetensors\"}}",
            "{\"weight_map\":{\"a\":\"../1.safetensors\"}}", "{\"weight_map\":{\"a\":\"..\"}}",
            "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "{\"weight_map\":{\"a\":\"\"}}",
            "{\"weight_map\":{\"a\":\".\"}}",
            "{\"weight_map\":{\"a\":\"model.safetensors.index.json\"}}", good + good,
            "{\"weight_map\":{\"a\":\"1.safetensors\",\"a\":\"1.safetensors\"}}",
        ] { add(String(text.prefix(60)), text) }
        return mutants
    }
}
