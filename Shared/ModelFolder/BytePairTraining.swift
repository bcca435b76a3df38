import Foundation

/// Learns a small byte-pair vocabulary in CLIP's form: 256 byte characters, the same with `</w>`, the merges, and the two
/// special tokens last. (Sennrich et al. 2016: merge the most frequent neighbours, again and again.)
struct BytePairTraining {
    /// All tokens; a token's id is its place.
    let tokens: [String]
    let merges: [(String, String)]

    /// Words of captions about people, enough to give common words a token of their own.
    static let captions = """
        a photo of a person a portrait of a smiling person a photo of a sks person a picture of a serious person with
        glasses a person with a hat and a green background looking left a photo of a surprised person wearing sunglasses
        in front of a red background looking right a drawing of a sad person with a cap on a blue background looking up
        a photo of a happy person in soft light with a yellow background looking down a close-up of a person in bright
        light a person with a beard and a striped background an oil painting of a person in the mountains by the sea
        """

    /// Learns up to `merges` merges from the words of `text`.
    static func train(on text: String, merges count: Int) -> BytePairTraining {
        // The tokenizer parts words from signs, so no merge may cross.
        let apart = text.lowercased().map { $0.isLetter || $0.isWhitespace ? String($0) : " \($0) " }.joined()
        let words = apart.split(whereSeparator: \.isWhitespace)
        var parts: [[String]: Int] = [:]
        for word in words {
            var symbols = word.utf8.map { String(characters[Int($0)]) }
            symbols[symbols.count - 1] += "</w>"
            parts[symbols, default: 0] += 1
        }
        var merges: [(String, String)] = []
        while merges.count < count, let best = mostFrequentPair(parts) {
            merges.append(best)
            parts = parts.reduce(into: [:]) { $0[joining(best, in: $1.key), default: 0] += $1.value }
        }
        let bytes = byteOrder.map { String(characters[$0]) }
        let tokens =
            bytes + bytes.map { $0 + "</w>" } + merges.map { $0.0 + $0.1 } + ["<|startoftext|>", "<|endoftext|>"]
        return BytePairTraining(tokens: tokens, merges: merges)
    }

    func vocabJSON() throws -> Data {
        let vocab = Dictionary(uniqueKeysWithValues: tokens.enumerated().map { ($1, $0) })
        return try JSONSerialization.data(withJSONObject: vocab, options: [.sortedKeys, .withoutEscapingSlashes])
    }

    func mergesText() -> Data {
        Data((["#version: 0.2"] + merges.map { "\($0.0) \($0.1)" }).map { $0 + "\n" }.joined().utf8)
    }

    /// Bytes in the order of CLIP's vocabulary: those with a printable character of their own first.
    private static let byteOrder: [Int] = printable + (0..<256).filter { !printable.contains($0) }
    private static let printable: [Int] = Array(33...126) + Array(161...172) + Array(174...255)

    /// OpenAI's printable stand-in for each byte: itself, or a character from 256 on.
    private static let characters: [Character] = {
        var table = Array(repeating: Character(" "), count: 256)
        for (place, byte) in byteOrder.enumerated() {
            let code = place < printable.count ? byte : 256 + place - printable.count
            table[byte] = Character(Unicode.Scalar(UInt16(code)) ?? " ")
        }
        return table
    }()

    /// Ties go to the pair that sorts first, so that training is reproducible.
    private static func mostFrequentPair(_ parts: [[String]: Int]) -> (String, String)? {
        var counts: [[String]: Int] = [:]
        for (symbols, count) in parts {
            for (a, b) in zip(symbols, symbols.dropFirst()) { counts[[a, b], default: 0] += count }
        }
        let best = counts.max { a, b in
            a.value != b.value ? a.value < b.value : a.key.lexicographicallyPrecedes(b.key) == false
        }
        return best.map { ($0.key[0], $0.key[1]) }
    }

    private static func joining(_ pair: (String, String), in symbols: [String]) -> [String] {
        var result: [String] = []
        var i = 0
        while i < symbols.count {
            if i + 1 < symbols.count, symbols[i] == pair.0, symbols[i + 1] == pair.1 {
                result.append(pair.0 + pair.1)
                i += 2
            } else {
                result.append(symbols[i])
                i += 1
            }
        }
        return result
    }
}
