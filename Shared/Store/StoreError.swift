/// What can go wrong between Likeness and its database or object store.
public enum StoreError: Error, CustomStringConvertible, Sendable {
    /// The server cannot be reached, or the connection broke. Trying again may help.
    case connection(String)
    /// The server refused a statement, with its SQLSTATE.
    case server(sqlState: String, message: String)
    /// A row is not as the code expects: the schema and the program are of different versions.
    case decoding(String)
    /// The input cannot be stored.
    case invalid(String)
    /// What was to be created is already there.
    case alreadyExists(String)
    /// The migrations in the database are not the program's.
    case migration(String)
    /// The object store has no such object, or not its bytes.
    case object(String)

    /// In words.
    public var description: String {
        switch self {
        case .connection(let what): "the database cannot be reached: \(what)"
        case .server(let state, let message): "the database refused a statement (\(state)): \(message)"
        case .decoding(let what): "a database row is not as expected: \(what)"
        case .invalid(let what), .alreadyExists(let what), .migration(let what), .object(let what): what
        }
    }

    /// Whether the whole transaction may be tried again: the connection broke, the server is stopping or starting, or
    /// it chose this transaction to give way to another.
    public var isRetryable: Bool {
        switch self {
        case .connection: true
        case .server(let state, _):
            ["40001", "40P01", "57P01", "57P02", "57P03", "53300"].contains(state) || state.hasPrefix("08")
        default: false
        }
    }
}
