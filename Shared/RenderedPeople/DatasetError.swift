/// A data set that cannot be read or written: names the folder or file and the remedy.
public struct DatasetError: Error, CustomStringConvertible, Sendable {
    /// What is wrong and what can be done.
    public let description: String

    /// An error with these words.
    public init(_ description: String) { self.description = description }
}
