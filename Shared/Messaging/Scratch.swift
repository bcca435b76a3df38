import CRabbitMQ
import Foundation

/// Runs the body with memory for the arguments of one call into librabbitmq, which is freed afterwards.
func withScratch<Result>(_ body: (Scratch) throws -> Result) rethrows -> Result {
    let scratch = Scratch()
    // C's pointers into it are unknown to ARC, which would free it after its last mention otherwise.
    return try withExtendedLifetime(scratch) { try body(scratch) }
}

/// See ``withScratch(_:)``.
final class Scratch {
    private var pool = amqp_pool_t()

    fileprivate init() { init_amqp_pool(&pool, 4096) }

    deinit { empty_amqp_pool(&pool) }

    func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
    }

    func bytes(_ data: Data) -> amqp_bytes_t { data.withUnsafeBytes(copy) }

    func table(_ fields: [String: FieldValue]) -> amqp_table_t {
        let entries: UnsafeMutablePointer<amqp_table_entry_t>? = array(fields.count)
        for (index, (key, value)) in fields.sorted(by: { $0.key < $1.key }).enumerated() {
            entries?[index] = amqp_table_entry_t(key: bytes(key), value: field(value))
        }
        return amqp_table_t(num_entries: Int32(fields.count), entries: entries)
    }

    private func field(_ value: FieldValue) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        func set(_ kind: amqp_field_value_kind_t) { field.kind = UInt8(kind.rawValue) }
        switch value {
        case .bool(let value):
            set(AMQP_FIELD_KIND_BOOLEAN)
            field.value.boolean = value ? 1 : 0
        case .integer(let value):
            set(AMQP_FIELD_KIND_I64)
            field.value.i64 = value
        case .double(let value):
            set(AMQP_FIELD_KIND_F64)
            field.value.f64 = value
        case .string(let value):
            set(AMQP_FIELD_KIND_UTF8)
            field.value.bytes = bytes(value)
        case .table(let value):
            set(AMQP_FIELD_KIND_TABLE)
            field.value.table = table(value)
        case .array(let values):
            set(AMQP_FIELD_KIND_ARRAY)
            let entries: UnsafeMutablePointer<amqp_field_value_t>? = array(values.count)
            for (index, value) in values.enumerated() { entries?[index] = self.field(value) }
            field.value.array = amqp_array_t(num_entries: Int32(values.count), entries: entries)
        case .other: set(AMQP_FIELD_KIND_VOID)
        }
        return field
    }

    private func copy(_ source: UnsafeRawBufferPointer) -> amqp_bytes_t {
        let target: UnsafeMutablePointer<UInt8>? = array(source.count)
        if let target { UnsafeMutableRawPointer(target).copyMemory(from: source) }
        return amqp_bytes_t(len: source.count, bytes: target)
    }

    private func array<Element>(_ count: Int) -> UnsafeMutablePointer<Element>? {
        guard count > 0 else { return nil }
        guard let memory = amqp_pool_alloc(&pool, count * MemoryLayout<Element>.stride) else {
            fatalError("out of memory for \(count) values of an AMQP call")
        }
        return memory.bindMemory(to: Element.self, capacity: count)
    }
}

extension UnsafeMutableRawPointer {
    fileprivate func copyMemory(from source: UnsafeRawBufferPointer) {
        if let start = source.baseAddress { copyMemory(from: start, byteCount: source.count) }
    }
}

extension Data {
    init(_ bytes: amqp_bytes_t) {
        if let start = bytes.bytes { self.init(bytes: start, count: bytes.len) } else { self.init() }
    }
}

extension String {
    init(_ bytes: amqp_bytes_t) {
        self.init(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
    }
}

extension FieldValue {
    init(_ field: amqp_field_value_t) {
        switch amqp_field_value_kind_t(UInt32(field.kind)) {
        case AMQP_FIELD_KIND_BOOLEAN: self = .bool(field.value.boolean != 0)
        case AMQP_FIELD_KIND_I8: self = .integer(Int64(field.value.i8))
        case AMQP_FIELD_KIND_U8: self = .integer(Int64(field.value.u8))
        case AMQP_FIELD_KIND_I16: self = .integer(Int64(field.value.i16))
        case AMQP_FIELD_KIND_U16: self = .integer(Int64(field.value.u16))
        case AMQP_FIELD_KIND_I32: self = .integer(Int64(field.value.i32))
        case AMQP_FIELD_KIND_U32: self = .integer(Int64(field.value.u32))
        case AMQP_FIELD_KIND_I64: self = .integer(field.value.i64)
        case AMQP_FIELD_KIND_U64, AMQP_FIELD_KIND_TIMESTAMP: self = .integer(Int64(clamping: field.value.u64))
        case AMQP_FIELD_KIND_F32: self = .double(Double(field.value.f32))
        case AMQP_FIELD_KIND_F64: self = .double(field.value.f64)
        case AMQP_FIELD_KIND_UTF8, AMQP_FIELD_KIND_BYTES: self = .string(String(field.value.bytes))
        case AMQP_FIELD_KIND_TABLE: self = .table(Self.fields(field.value.table))
        case AMQP_FIELD_KIND_ARRAY:
            let array = field.value.array
            self = .array((0..<Int(array.num_entries)).map { FieldValue(array.entries[$0]) })
        default: self = .other
        }
    }

    static func fields(_ table: amqp_table_t) -> [String: FieldValue] {
        var fields: [String: FieldValue] = [:]
        for index in 0..<Int(table.num_entries) {
            fields[String(table.entries[index].key)] = FieldValue(table.entries[index].value)
        }
        return fields
    }
}
