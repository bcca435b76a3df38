import CLIP
import Checkpoint
import Foundation
import TestSupport
import Testing

/// The tokenizer against transformers' ids, where the golden case does not ask for them, and small vocabularies.
@Suite struct BytePairTokenizerTests {
    static var folder: URL { GoldenFiles.folder.appending(path: "clip_tokenizer") }

    static func golden(length: Int = 77) throws -> BytePairTokenizer {
        try BytePairTokenizer(
            vocab: Data(contentsOf: folder.appending(path: "vocab.json")),
            merges: Data(contentsOf: folder.appending(path: "merges.txt")), length: length)
    }

    /// a, b, c, ab and abc, each also at a word's end; no other letters.
    static let tokens = [
        "a", "b", "c", "a</w>", "b</w>", "c</w>", "ab", "ab</w>", "abc</w>", "<|startoftext|>", "<|endoftext|>",
    ]

    static func small(merges: String = "#version: 0.2\na b\na b</w>\nab c</w>\n", length: Int = 8) throws
        -> BytePairTokenizer
    {
        let vocabulary = Dictionary(uniqueKeysWithValues: tokens.enumerated().map { ($1, $0) })
        return try BytePairTokenizer(
            vocab: JSONEncoder().encode(vocabulary), merges: Data(merges.utf8), length: length)
    }

    @Test(arguments: [#"["a b", "a b</w>", "ab c</w>"]"#, #"[["a", "b"], ["a", "b</w>"], ["ab", "c</w>"]]"#])
    func tokenizerJSONIsReadInBothItsForms(_ merges: String) throws {
        let vocabulary = Dictionary(uniqueKeysWithValues: Self.tokens.enumerated().map { ($1, $0) })
        let vocab = String(decoding: try JSONEncoder().encode(vocabulary), as: UTF8.self)
        let json = #"{"model": {"type": "BPE", "vocab": \#(vocab), "merges": \#(merges)}, "added_tokens": []}"#
        let tokenizer = try BytePairTokenizer(json: Data(json.utf8), length: 8)
        #expect(try tokenizer("abc ab b") == Self.small()("abc ab b"))
        #expect(throws: CheckpointError.self) {
            try BytePairTokenizer(json: Data(json.replacingOccurrences(of: "BPE", with: "WordPiece").utf8))
        }
        #expect(throws: CheckpointError.self) { try BytePairTokenizer(json: Data("{}".utf8)) }
    }

    // Ids by transformers 5.23 and tokenizers 0.23.3, for what the golden's prompts do not touch.
    @Test(
        .enabled(if: GoldenFiles.areThere, Comment(rawValue: GoldenFiles.areMissing)),
        arguments: [
            ("\u{F73}\u{F73}", [39219, 109, 39219, 109, 39219, 110, 39219, 366]),
            ("x=<|EndOfText|>!", [343, 28, 27, 347, 40786, 4160, 91, 29, 256]),
            ("a\u{187FE}b", [320, 172, 246, 253, 378, 321]),
        ])
    func idsOfTheReference(text: String, ids: [Int]) throws {
        let tokens = try Self.golden()(text)
        #expect(Array(tokens.ids[1..<tokens.untruncatedLength - 1]) == ids)
    }

    @Test(.enabled(if: GoldenFiles.areThere, Comment(rawValue: GoldenFiles.areMissing)))
    func longWordIsCutAtTheLength() throws {
        let tokens = try Self.golden()(String(repeating: "ab", count: 50_000))
        #expect(tokens.ids.count == 77)
        #expect(tokens.ids[76] == 49407)
        #expect(tokens.untruncatedLength > 10_000)
    }

    @Test func earliestMergeFirstAndPadding() throws {
        let tokens = try Self.small()("ABC ab  cab")
        #expect(tokens.ids == [9, 8, 7, 2, 7, 10, 10, 10])
        #expect(tokens.attentionMask == [1, 1, 1, 1, 1, 1, 0, 0])
        #expect(tokens.untruncatedLength == 6)
    }

    @Test func truncationKeepsTheEndToken() throws {
        let tokens = try Self.small(length: 4)("a b c a")
        #expect(tokens.ids == [9, 3, 4, 10])
        #expect(tokens.attentionMask == [1, 1, 1, 1])
        #expect(tokens.untruncatedLength == 6)
    }

    @Test func bytesOutsideTheVocabularyBecomeTheEndToken() throws {
        #expect(try Self.small()("aé").ids == [9, 0, 10, 10, 10, 10, 10, 10])
        #expect(try Self.small()("aé").untruncatedLength == 5)
    }

    @Test func mergesMayLackTheHeaderAndHoldUnknownTokens() throws {
        let text = "a b\nb c\nq r\r\na b</w>\nab c</w>"
        #expect(try Self.small(merges: text)("abc ab").ids == [9, 8, 7, 10, 10, 10, 10, 10])
    }

    @Test func malformedFilesAreNamed() throws {
        let error = #expect(throws: CheckpointError.self) { try Self.small(merges: "#version: 0.2\na b\nabc\n") }
        #expect(error?.description.contains("merges.txt: line 3") == true)
        let vocabularies = [
            "[1, 2]": "not a JSON object", "{\"a\": 0}": "<|startoftext|>",
            "{\"<|startoftext|>\": 0, \"<|endoftext|>\": -1}": "impossible id -1",
        ]
        for (json, message) in vocabularies {
            let error = #expect(throws: CheckpointError.self) {
                try BytePairTokenizer(vocab: Data(json.utf8), merges: Data())
            }
            #expect(error?.description.hasPrefix("vocab.json") == true)
            #expect(error?.description.contains(message) == true, "\(error?.description ?? "no error")")
        }
        #expect(throws: CheckpointError.self) { try Self.small(length: 1) }
        #expect(throws: CheckpointError.self) {
            try BytePairTokenizer(
                vocab: Data("{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1}".utf8), merges: Data([0xFF, 0xFE]))
        }
    }
}
