/// What can be wrong with a model's files. Every message names the file and what to do.
public struct CheckpointError: Error, CustomStringConvertible, Sendable, Equatable {
    /// What is wrong, with the file's name, and the remedy.
    public let description: String

    /// An error with this text.
    public init(_ description: String) { self.description = description }
}
