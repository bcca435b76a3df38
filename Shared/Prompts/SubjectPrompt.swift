/// A prompt as a fine-tuned model knows the person: "a [identifier] [class noun]" (DreamBooth, arXiv 2208.12242).
///
/// Users write the same prompt for every method; here the identifier is put in front of the class noun, or the person in
/// front of the prompt where it has no class noun. Captions of the photos that a model is tuned on are read in the same
/// way.
public struct SubjectPrompt: Sendable {
    /// A rare word that comes to mean the person, unless another is chosen.
    public static let identifier = "sks"
    /// What the person is one of, unless something else is chosen.
    public static let classNoun = "person"

    /// What the model reads.
    public let text: String

    /// From what the user wrote.
    public init(_ prompt: String, identifier: String = Self.identifier, classNoun: String = Self.classNoun) {
        let words = prompt.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        let bare = words.map { $0.lowercased().trimmingPrefix { !$0.isLetter } }
        if zip(bare, bare.dropFirst()).contains(where: { $0 == identifier && $1.hasPrefix(classNoun) }) {
            text = prompt
        } else if let place = bare.firstIndex(where: { $0.prefix { $0.isLetter } == classNoun }) {
            var words = words
            words[place] = "\(identifier) \(words[place])"
            text = words.joined(separator: " ")
        } else {
            text = "a \(identifier) \(classNoun), \(prompt)"
        }
    }
}
