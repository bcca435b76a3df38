/// A prompt as a fine-tuned model knows the person: "a [identifier] [class noun]" (DreamBooth).
///
/// Users write the same prompt for every method; here the identifier is put in front of the class noun, or the person in
/// front of the prompt where it has no class noun.
public struct SubjectPrompt: Sendable {
    /// A rare word that came to mean the person, and what the person is one of: as the trainer trains them.
    public static let identifier = "sks"
    public static let classNoun = "person"

    /// What the model reads.
    public let text: String

    /// From what the user wrote.
    public init(_ prompt: String) {
        let subject = "\(Self.identifier) \(Self.classNoun)"
        let words = prompt.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        let bare = words.map { $0.lowercased().trimmingPrefix { !$0.isLetter } }
        if zip(bare, bare.dropFirst()).contains(where: { $0 == Self.identifier && $1.hasPrefix(Self.classNoun) }) {
            text = prompt
        } else if let place = bare.firstIndex(where: { $0.prefix { $0.isLetter } == Self.classNoun }) {
            var words = words
            words[place] = "\(Self.identifier) \(words[place])"
            text = words.joined(separator: " ")
        } else {
            text = "a \(subject), \(prompt)"
        }
    }
}
