import Contracts
public import Foundation

/// Why a request was not served: an HTTP status and the words for the user.
public struct APIError: Error, Sendable, Equatable {
    /// HTTP status code, 4xx or 503.
    public let status: Int
    /// What is wrong, naming the input.
    public let error: String
    /// What to do about it.
    public let remedy: String

    /// An answer with this status.
    public init(_ status: Int, _ error: String, remedy: String) {
        (self.status, self.error, self.remedy) = (status, error, remedy)
    }

    /// A value that cannot be used (422).
    public static func invalid(_ error: String, remedy: String) -> APIError { APIError(422, error, remedy: remedy) }
}

extension APIError {
    /// Reads a body of JSON.
    /// - Throws: `APIError` (400) saying what is wrong and where.
    public static func decode<T: Decodable>(_ type: T.Type, from data: Data, of body: String) throws(APIError) -> T {
        do {
            return try JSONDecoder.likeness.decode(type, from: data)
        } catch {
            if let field = impossibleNumber(in: data, of: type, error) {
                throw APIError(
                    400, "\(body): '\(field)' is a number that it cannot have",
                    remedy: "give a whole number, not negative, or a finite one; the README shows a request")
            }
            throw APIError(error, of: body)
        }
    }

    /// Foundation says of a fraction where a whole number belongs only that the data are no JSON. The number whose
    /// replacement by 1 makes another error of it, or none, is the one.
    private static func impossibleNumber(in data: Data, of type: (some Decodable).Type, _ error: any Error) -> String? {
        func isVague(_ error: any Error) -> Bool {
            guard case DecodingError.dataCorrupted(let context) = error else { return false }
            return context.codingPath.isEmpty
        }
        let text = String(decoding: data, as: UTF8.self)
        guard isVague(error) else { return nil }
        for match in text.matches(of: /"([a-z_]+)"\s*:\s*(-?[0-9][0-9.eE+-]*)/) {
            let changed = text.replacingCharacters(in: match.2.startIndex..<match.2.endIndex, with: "1")
            do {
                _ = try JSONDecoder.likeness.decode(type, from: Data(changed.utf8))
                return String(match.1)
            } catch { if !isVague(error) { return String(match.1) } }
        }
        return nil
    }

    /// JSON that is no such body (400), saying where.
    public init(_ error: any Error, of body: String) {
        let found: (context: DecodingError.Context, key: (any CodingKey)?, problem: String?) =
            switch error {
            case DecodingError.keyNotFound(let key, let context): (context, key, "is missing")
            case DecodingError.typeMismatch(let type, let context):
                (context, nil, "must be \(Self.name(of: type))")
            case DecodingError.valueNotFound(let type, let context):
                (context, nil, "is null and must be \(Self.name(of: type))")
            case DecodingError.dataCorrupted(let context): (context, nil, nil)
            default: (.init(codingPath: [], debugDescription: "\(error)"), nil, nil)
            }
        let path = Self.path(found.context.codingPath + (found.key.map { [$0] } ?? []))
        // Foundation says on which line and column the text stops being JSON in the underlying error.
        let details = found.context.underlyingError.map { ": \(Self.reason($0))" } ?? ""
        let problem = found.problem ?? found.context.debugDescription + details
        self.init(
            400, path.isEmpty ? "\(body) cannot be read: \(problem)" : "\(body): '\(path)' \(problem)",
            remedy: "send a JSON object with Content-Type application/json; the README shows one")
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.reduce(into: "") { path, key in
            if let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += (path.isEmpty ? "" : ".") + snakeCase(key.stringValue)
            }
        }
    }

    /// Keys as they are on the wire.
    private static func snakeCase(_ key: String) -> String {
        key.reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
    }

    private static func name(of type: Any.Type) -> String {
        switch type {
        case is String.Type: "a string"
        case is Bool.Type: "true or false"
        case is Int.Type, is UInt64.Type: "a whole number"
        case is Double.Type: "a number"
        case is [String: Any].Type: "a JSON object"
        case is any Collection.Type: "a list"
        default: "a JSON object"
        }
    }

    private static func reason(_ error: any Error) -> String {
        let info = (error as NSError).userInfo
        return info[NSDebugDescriptionErrorKey] as? String ?? "\(error)"
    }
}
