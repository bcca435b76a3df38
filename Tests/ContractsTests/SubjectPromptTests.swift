import Contracts
import Testing
import Training

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
        // Comparisons, which know no queues, have the rule too.
        if !prompt.contains("sks") { #expect(DreamBoothSettings().prompt(for: prompt) == expected) }
    }
}
