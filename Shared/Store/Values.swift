public import Contracts
public import Foundation

/// What can be a parameter of a statement, in Postgres' text form.
public protocol PostgresEncodable: Sendable {
    /// The text form; nil is NULL.
    var postgresText: String? { get }
}

/// What can be read from a column, in Postgres' text form.
public protocol PostgresDecodable: Sendable {
    /// nil where the text is no such value.
    init?(postgresText: String)
}

extension String: PostgresEncodable, PostgresDecodable {
    public var postgresText: String? { self }
    public init?(postgresText: String) { self = postgresText }
}

extension Int: PostgresEncodable, PostgresDecodable {
    public var postgresText: String? { String(self) }
    public init?(postgresText: String) { self.init(postgresText) }
}

extension Int64: PostgresEncodable, PostgresDecodable {
    public var postgresText: String? { String(self) }
    public init?(postgresText: String) { self.init(postgresText) }
}

extension UInt64: PostgresEncodable, PostgresDecodable {
    public var postgresText: String? { String(self) }
    public init?(postgresText: String) { self.init(postgresText) }
}

extension Double: PostgresEncodable, PostgresDecodable {
    public var postgresText: String? { String(self) }
    public init?(postgresText: String) { self.init(postgresText) }
}

extension Bool: PostgresEncodable, PostgresDecodable {
    public var postgresText: String? { self ? "t" : "f" }
    public init?(postgresText: String) {
        guard postgresText == "t" || postgresText == "f" else { return nil }
        self = postgresText == "t"
    }
}

extension UUID: PostgresEncodable, PostgresDecodable {
    public var postgresText: String? { uuidString }
    public init?(postgresText: String) { self.init(uuidString: postgresText) }
}

extension FaceEmbedding: PostgresDecodable {
    public init?(postgresText: String) {
        guard let embedding = try? FaceEmbedding(base64: postgresText) else { return nil }
        self = embedding
    }
}

/// Times are selected as `extract(epoch FROM …)`: seconds since 1970.
extension Date: PostgresDecodable {
    public init?(postgresText: String) {
        guard let seconds = Double(postgresText) else { return nil }
        self.init(timeIntervalSince1970: seconds)
    }
}

extension Data: PostgresEncodable, PostgresDecodable {
    /// JSON columns: the text itself.
    public var postgresText: String? { String(decoding: self, as: UTF8.self) }
    public init?(postgresText: String) { self.init(postgresText.utf8) }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    public var postgresText: String? { flatMap(\.postgresText) }
}

extension Array: PostgresEncodable where Element: PostgresEncodable {
    /// An array literal, every element quoted.
    public var postgresText: String? {
        let elements = map { element -> String in
            guard let text = element.postgresText else { return "NULL" }
            return "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        }
        return "{" + elements.joined(separator: ",") + "}"
    }
}

/// One row of an answer.
public struct Row: Sendable {
    let columns: [String: Int]
    let values: [String?]

    /// The value of `column`, which must be there and not NULL.
    public func get<T: PostgresDecodable>(_ column: String, as type: T.Type = T.self) throws -> T {
        guard let value = try getOptional(column, as: type) else {
            throw StoreError.decoding("column \(column) is NULL, a \(type) was expected")
        }
        return value
    }

    /// The value of `column`, or nil where it is NULL.
    public func getOptional<T: PostgresDecodable>(_ column: String, as type: T.Type = T.self) throws -> T? {
        guard let index = columns[column] else { throw StoreError.decoding("there is no column \(column)") }
        guard let text = values[index] else { return nil }
        guard let value = T(postgresText: text) else {
            throw StoreError.decoding("column \(column) holds '\(text.prefix(80))', a \(type) was expected")
        }
        return value
    }

    /// The value of a text column that holds a case's raw value.
    public func get<T: RawRepresentable<String>>(raw column: String, as type: T.Type = T.self) throws -> T {
        let text: String = try get(column)
        guard let value = T(rawValue: text) else {
            throw StoreError.decoding("column \(column) holds '\(text)', which is no \(type)")
        }
        return value
    }

    /// The value of a JSON column.
    func get<T: Decodable>(json column: String, as type: T.Type = T.self, _ decoder: JSONDecoder) throws -> T {
        let data: Data = try get(column)
        do {
            return try decoder.decode(type, from: data)
        } catch {
            throw StoreError.decoding("column \(column) is not a \(type): \(error)")
        }
    }
}
