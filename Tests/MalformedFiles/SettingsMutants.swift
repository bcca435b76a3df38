import Foundation

/// The JSON and text files of a model folder: cut, of wrong types, with numbers that no model has.
enum SettingsMutants {
    static let configs = [
        "unet/config.json", "vae/config.json", "text_encoder/config.json", "ip_adapter/image_encoder/config.json",
        "scheduler/scheduler_config.json", "evaluation/identity/config.json",
    ]

    static func all(_ model: URL) throws -> [Mutant] {
        var mutants: [Mutant] = []
        func add(_ file: String, _ what: String, mustFail: Bool = true, _ bytes: Data) {
            // Settings are small and the weights beside them are not: they are what may be taken.
            mutants.append(Mutant("\(file): \(what)", .settings, file, mustFail: mustFail, allowance: 64 << 20, bytes))
        }
        for file in configs {
            let whole = try Data(contentsOf: model.appendingPathComponent(file))
            add(file, "as it should be", mustFail: false, whole)
            let object = whole.lastIndex(of: UInt8(ascii: "}")).map { whole.prefix($0) } ?? whole
            for i in 0..<16 { add(file, "cut (\(i))", object.prefix(object.count * i / 16)) }
            for text in ["[]", "null", "5", "\"x\"", "{,}", "{\"a\":}", "\u{0}", "{}}"] {
                add(file, text, Data(text.utf8))
            }
            add(file, "not UTF-8", Data([0x7B, 0xFF, 0xFE, 0x7D]))
            guard let table = try JSONSerialization.jsonObject(with: whole) as? [String: Any] else { continue }
            for key in table.keys.sorted() {
                for value in [
                    "null", "0", "-1", "1", "3", "7", "1000000000", "4611686018427387904", "9223372036854775807",
                    "1e300",
                    "-1e300", "0.5", "\"x\"", "\"\"", "true", "[]", "{}", "[0]", "[-1,1]", "[1000000000,1]",
                    "[9223372036854775807]", "[\"x\"]", "[[1]]",
                ] {
                    var changed = table
                    changed[key] = "§"
                    let text = String(
                        decoding: try JSONSerialization.data(withJSONObject: changed, options: .sortedKeys),
                        as: UTF8.self)
                    add(
                        file, "\(key) \(value)", mustFail: false,
                        Data(text.replacingOccurrences(of: "\"§\"", with: value).utf8))
                }
                var without = table
                without[key] = nil
                add(file, "without \(key)", mustFail: false, try JSONSerialization.data(withJSONObject: without))
            }
        }
        let vocabulary = "tokenizer/vocab.json"
        let words = try Data(contentsOf: model.appendingPathComponent(vocabulary))
        add(vocabulary, "as it should be", mustFail: false, words)
        for i in 0..<24 { add(vocabulary, "cut (\(i))", words.prefix((words.count - 2) * i / 24)) }
        let ends = "\"<|startoftext|>\":0,\"<|endoftext|>\":1"
        for text in [
            "[]", "{}", "null", "{\"a\":0}", "{\(ends),\"a\":-1}", "{\(ends),\"a\":1.5}", "{\(ends),\"a\":\"2\"}",
            "{\(ends),\"a\":null}", "{\(ends),\"a\":99999999999}", "{\(ends),\"a\":[2]}", "{\"<|startoftext|>\":0}",
            "{\"<|endoftext|>\":0}", "{\"<|startoftext|>\":-5,\"<|endoftext|>\":1}", "{\(ends)", "{\(ends):2}",
        ] { add(vocabulary, text, Data(text.utf8)) }
        add(vocabulary, "not UTF-8", Data("{".utf8) + Data([0x22, 0xFF, 0x22]) + Data(":1}".utf8))
        let merges = "tokenizer/merges.txt"
        let lines = try Data(contentsOf: model.appendingPathComponent(merges))
        add(merges, "as it should be", mustFail: false, lines)
        for text in [
            "#version: 0.2\na\n", "a b c\n", " a\n", "a \n", "a  b\n", "\t\n", "#version: 0.2\n#version: 0.2 x\n",
        ] {
            add(merges, text.debugDescription, Data(text.utf8))
        }
        add(merges, "not UTF-8", Data([0xFF, 0xFE, 0x20, 0x61]))
        add(merges, "empty", mustFail: false, Data())
        return mutants
    }
}
