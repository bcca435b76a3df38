import Prompts
import Testing

@Suite struct SubjectPromptTests {
    @Test(arguments: [
        ("a photo of a person smiling", "a photo of a sks person smiling"),
        ("Person, outdoors", "sks Person, outdoors"),
        ("a person and another person", "a sks person and another person"),
        ("the person's hat", "the sks person's hat"),
        // No class noun: the person is named first.
        ("riding a horse", "a sks person, riding a horse"),
        // Not the class noun, though it begins so.
        ("personal effects", "a sks person, personal effects"),
        // Written as DreamBooth's users do: left alone.
        ("a photo of sks person", "a photo of sks person"),
        ("a drawing of (sks person)", "a drawing of (sks person)"),
    ])
    func theIdentifierStandsBeforeTheClassNoun(prompt: String, expected: String) {
        #expect(SubjectPrompt(prompt).text == expected)
    }

    @Test func theWordsCanBeChosen() {
        #expect(SubjectPrompt("a sleeping dog", identifier: "zwx", classNoun: "dog").text == "a sleeping zwx dog")
        #expect(SubjectPrompt("a person", identifier: "zwx", classNoun: "dog").text == "a zwx dog, a person")
    }
}
