import CLIP
import Testing

@Suite struct PromptWeightsTests {
    private func pieces(_ prompt: String) -> [String] {
        PromptWeights(prompt).pieces.map { "\($0.text)|\($0.weight)" }
    }

    @Test func aPromptWithoutWeightsIsOnePiece() {
        for prompt in [
            "a photo of a person", "a person (smiling), outdoors", "ratio 3:2", "(", ")", "a :1.2)", "(a:b)",
        ] {
            #expect(pieces(prompt) == ["\(prompt)|1.0"])
        }
        #expect(PromptWeights("").pieces.isEmpty)
    }

    @Test func numberedBracketsWeighTheirWords() {
        #expect(pieces("a (red hat:1.5), outdoors") == ["a |1.0", "red hat|1.5", ", outdoors|1.0"])
        #expect(pieces("(a:0.5)(b:2)") == ["a|0.5", "b|2.0"])
        #expect(pieces("(note: this: 0.25)") == ["note: this|0.25"])
    }

    @Test func bracketsInBracketsMultiply() {
        #expect(pieces("(a (b:2) c:1.5) d") == ["a |1.5", "b|3.0", " c|1.5", " d|1.0"])
    }

    @Test func backslashesKeepBrackets() {
        #expect(pieces(#"a \(b:1.5\)"#) == ["a (b:1.5)|1.0"])
        #expect(pieces(#"\\(a:1.2) \\(b:1.2)"#) == [#"\(a:1.2) \(b:1.2)|1.0"#])
        #expect(pieces(#"(x \\(a:1.2) y:2)"#) == [#"x \(a|1.2"#, " y:2)|1.0"])
        #expect(pieces(#"C:\a (b:2)\"#) == [#"C:\a |1.0"#, "b|2.0", #"\|1.0"#])
    }

    @Test func impossibleWeightsAreWords() {
        #expect(pieces("(a:-1)") == ["(a:-1)|1.0"])
        #expect(pieces("(a:nan)") == ["(a:nan)|1.0"])
        #expect(pieces("(a:1e9)") == ["(a:1e9)|1.0"])
    }
}
