import Contracts
import Foundation

/// A name that a person may have.
public struct PersonName: Sendable, Equatable {
    /// The name, without white space at its ends.
    public let text: String

    /// Checks a name.
    /// - Throws: `APIError` (422) saying what is wrong with it.
    public init(_ name: String) throws(APIError) {
        let text = name.trimmingCharacters(in: .whitespacesAndNewlines)
        let remedy = "use 1 to \(Limits.nameCharacters) characters without slashes and control characters"
        guard !text.isEmpty else { throw .invalid("the name is empty", remedy: remedy) }
        guard text.length <= Limits.nameCharacters else {
            throw .invalid("the name has \(text.length) characters", remedy: remedy)
        }
        let isForbidden = CharacterSet.controlCharacters.union(.newlines).union(CharacterSet(charactersIn: "/\\"))
        guard text.rangeOfCharacter(from: isForbidden) == nil, text != ".", text != ".." else {
            throw .invalid("the name '\(text)' holds a slash or a control character", remedy: remedy)
        }
        guard UUID(uuidString: text) == nil else {
            throw .invalid(
                "the name '\(text)' looks like an id", remedy: "use another name, since people are found by id or name")
        }
        self.text = text
    }
}
