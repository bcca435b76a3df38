/// A value of an AMQP field table (arguments, headers, client properties), as far as Likeness meets them.
public enum FieldValue: Sendable, Hashable {
    /// A truth value.
    case bool(Bool)
    /// Any of AMQP's integer types.
    case integer(Int64)
    /// A floating-point number.
    case double(Double)
    /// UTF-8 text.
    case string(String)
    /// A nested table.
    case table([String: FieldValue])
    /// A list.
    case array([FieldValue])
    /// A type not listed here.
    case other
}

extension FieldValue: Encodable {
    /// Writes the value as plain JSON; `other` as null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .double(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .table(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .other: try container.encodeNil()
        }
    }
}
