internal import Checkpoint
public import Foundation

/// CLIP's tokenizer: text to the numbers that ``CLIPTextModel`` embeds.
///
/// Matches transformers 5 `CLIPTokenizer` for any `vocab.json` and `merges.txt`. In order: the two special tokens are
/// cut out where they stand literally; the rest is normalised (NFC, each run of white space to one space, lowercase),
/// split into words, and each word's UTF-8 bytes are joined by the merges, the earliest line of `merges.txt` first.
public struct BytePairTokenizer: Sendable {
    /// A tokenised text.
    public struct Tokens: Sendable, Equatable {
        /// Start token, the text's tokens, end token, then end tokens as padding; always the tokenizer's `length`.
        public let ids: [Int]
        /// 1 where `ids` is text or a first start or end token, 0 where it is padding.
        public let attentionMask: [Int]
        /// How many tokens the whole text has, with start and end token; more than `length` if some were cut off.
        public let untruncatedLength: Int
    }

    /// Number of ids of every result.
    public let length: Int
    /// One more than the largest id of the vocabulary; the text encoder's embedding must have as many rows.
    public let vocabularySize: Int
    /// The id before every text, `<|startoftext|>`.
    public let startToken: Int
    /// The id after every text, `<|endoftext|>`; also padding, and what stands for a byte the vocabulary lacks.
    public let endToken: Int

    private let merges: TokenizerMerges
    private let cache = TokenizerCache()

    private static let start = "<|startoftext|>"
    private static let end = "<|endoftext|>"

    /// Reads a model's `tokenizer` folder.
    ///
    /// - Parameters:
    ///   - vocab: `vocab.json`, an object of token: id
    ///   - merges: `merges.txt`, a line `#version…` (may be absent), then two tokens a line. Lines that make a token
    ///     the vocabulary does not have are passed over: OpenAI's own file holds more than the model uses.
    ///   - length: number of ids of every result, 77 in Stable Diffusion 1.5; at least 2
    /// - Throws: ``CheckpointError`` that says which file is malformed and where.
    public init(vocab: Data, merges: Data, length: Int = 77) throws {
        let table: [String: Int]
        do {
            table = try JSONDecoder().decode([String: Int].self, from: vocab)
        } catch {
            throw CheckpointError(
                "vocab.json: is not a JSON object of token: id (\(error)); copy the tokenizer's files again")
        }
        try self.init(table, merges: merges, length: length)
    }

    /// Reads `tokenizer.json`, the one file that newer versions of transformers write.
    ///
    /// - Throws: ``CheckpointError`` for a file of another kind of tokenizer
    public init(json: Data, length: Int = 77) throws {
        struct File: Decodable {
            struct Model: Decodable {
                var type: String?
                var vocab: [String: Int]
                var merges: [Merge]
            }
            /// "a b", or in newer files ["a", "b"].
            struct Merge: Decodable {
                var line: String
                init(from decoder: any Decoder) throws {
                    let one = try decoder.singleValueContainer()
                    if let line = try? one.decode(String.self) {
                        self.line = line
                    } else {
                        line = try one.decode([String].self).joined(separator: " ")
                    }
                }
            }
            var model: Model
        }
        let model: File.Model
        do {
            model = try JSONDecoder().decode(File.self, from: json).model
        } catch {
            throw CheckpointError(
                "tokenizer.json: is not of a byte-pair tokenizer (\(error)); put vocab.json and merges.txt of a CLIP "
                    + "tokenizer there")
        }
        guard model.type ?? "BPE" == "BPE" else {
            throw CheckpointError("tokenizer.json: is of the kind \(model.type ?? ""); CLIP's is BPE")
        }
        let merges = model.merges.map { $0.line + "\n" }.joined()
        try self.init(model.vocab, merges: Data(merges.utf8), length: length)
    }

    private init(_ table: [String: Int], merges: Data, length: Int) throws {
        guard length >= 2 else {
            throw CheckpointError("tokenizer length \(length): there must be room for start and end token, 2 at least")
        }
        func special(_ token: String) throws -> Int {
            guard let id = table[token] else {
                throw CheckpointError("vocab.json: has no token \(token); use the files of a CLIP tokenizer")
            }
            return id
        }
        if let (token, id) = table.first(where: { !(0...Int(Int32.max)).contains($0.value) }) {
            throw CheckpointError("vocab.json: token \(token) has the impossible id \(id)")
        }
        self.length = length
        startToken = try special(Self.start)
        endToken = try special(Self.end)
        vocabularySize = (table.values.max() ?? -1) + 1
        self.merges = try TokenizerMerges(vocabulary: table, text: merges, unknown: endToken)
    }

    /// Tokenises one text.
    public func callAsFunction(_ text: String) -> Tokens {
        var ids = [startToken] + words(of: text)
        let untruncated = ids.count + 1
        ids = ids.prefix(length - 1) + [endToken]
        let padding = length - ids.count
        return Tokens(
            ids: ids + Array(repeating: endToken, count: padding),
            attentionMask: Array(repeating: 1, count: ids.count) + Array(repeating: 0, count: padding),
            untruncatedLength: untruncated)
    }

    /// A text's tokens without start and end, however many.
    public func words(of text: String) -> [Int] {
        var ids: [Int] = []
        for part in Self.parts(of: text) {
            switch part {
            case .special(let id): ids.append(id == Self.start ? startToken : endToken)
            case .text(let text):
                for word in TokenizerText.words(of: TokenizerText.normalized(text)) {
                    ids += cache.ids(of: word) { merges.ids(of: word) }
                }
            }
        }
        return ids
    }

    private enum Part {
        case special(String)
        case text(String)
    }

    /// Cuts the text at literal special tokens; exact case, and before normalising, as they are no words.
    private static func parts(of text: String) -> [Part] {
        let scalars = Array(text.unicodeScalars)
        let specials = [start, end].map { (name: $0, scalars: Array($0.unicodeScalars)) }
        var parts: [Part] = []
        var begin = 0
        func flush(to end: Int) {
            guard begin < end else { return }
            var piece = String.UnicodeScalarView()
            piece.append(contentsOf: scalars[begin..<end])
            parts.append(.text(String(piece)))
        }
        var i = 0
        while i < scalars.count {
            if scalars[i] == "<", let found = specials.first(where: { scalars[i...].starts(with: $0.scalars) }) {
                flush(to: i)
                parts.append(.special(found.name))
                i += found.scalars.count
                begin = i
            } else {
                i += 1
            }
        }
        flush(to: i)
        return parts
    }
}
