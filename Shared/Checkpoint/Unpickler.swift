import Foundation

/// A value that a pickle can hold here: plain data, and tensors as torch writes them. There are no objects.
indirect enum PickleValue {
    case none
    case bool(Bool)
    case integer(Int)
    case real(Double)
    case text(String)
    case bytes
    case tuple([PickleValue], depth: Int)
    case list(Shared<[PickleValue]>)
    case dictionary(Shared<[(key: PickleValue, value: PickleValue)]>)
    /// One of the few names that may be called, or a constant such as `torch.float16`.
    case global(String)
    case storage(Storage)
    case tensor(View)
    /// What a trainer kept beside the tensors: neither made nor looked at.
    case ignored

    /// Lists and dictionaries are filled after others have hold of them.
    final class Shared<Contents> {
        var contents: Contents
        init(_ contents: Contents) { self.contents = contents }
    }

    /// Tuples within tuples, of which a file that means harm may have a million: releasing them would take as deep a stack.
    var depth: Int {
        guard case .tuple(_, let depth) = self else { return 0 }
        return depth
    }

    /// Bytes that it takes in memory on the stack, roughly and rather too many.
    var size: Int {
        switch self {
        case .none, .bytes, .ignored: 24
        case .bool, .integer, .real: 72
        case .text(let text), .global(let text): 112 + text.utf8.count
        case .tuple(let values, _): 128 + 8 * values.count
        case .list(let list): 160 + 8 * list.contents.count
        case .dictionary: 160
        case .storage: 144
        case .tensor(let view): 288 + 8 * (view.shape.count + view.strides.count)
        }
    }

    /// A run of numbers elsewhere in the file.
    struct Storage {
        var key: String
        var dtype: SafetensorsFile.DType
        var count: Int
    }

    /// A tensor: a storage and how to walk it.
    struct View {
        var storage: Storage
        var offset: Int
        var shape, strides: [Int]
    }
}

/// All lists and dictionaries of a file. They may refer to each other in circles or very long chains, so they are emptied
/// one by one when the file has been read.
final class PickleHeap {
    typealias Dictionary = PickleValue.Shared<[(key: PickleValue, value: PickleValue)]>
    typealias List = PickleValue.Shared<[PickleValue]>
    private var dictionaries: [Dictionary] = []
    private var lists: [List] = []
    /// Bytes that may still be taken.
    private var left: Int

    /// What a small file may take beyond its size.
    private static let allowance = 8 << 20

    init(fileSize: Int) { left = fileSize + Self.allowance }

    func dictionary() -> Dictionary {
        dictionaries.append(.init([]))
        return dictionaries[dictionaries.count - 1]
    }

    func list(_ contents: [PickleValue]) -> List {
        lists.append(.init(contents))
        return lists[lists.count - 1]
    }

    /// Counts memory that is taken for what a file describes. A byte of a pickle can ask for a hundred: what a file may
    /// ask for in all is bounded by its size.
    func spend(_ bytes: Int, _ reader: LittleEndianReader) throws {
        left -= bytes
        guard left >= 0 else { throw reader.damaged("it describes more objects than a file of this size can have") }
    }

    func clear() {
        for dictionary in dictionaries { dictionary.contents = [] }
        for list in lists { list.contents = [] }
    }
}

/// Reads Python's pickle (protocols 0 to 4) as far as tensors need it, and runs nothing.
///
/// A pickle is a program for a small stack machine that may call any Python function. Here the functions are the handful
/// below; a file that names another one is refused with that name, before anything else is done with it.
struct Unpickler {
    private let reader: LittleEndianReader
    private let heap: PickleHeap
    private var place: Int
    private var stack: [PickleValue] = []
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]

    /// - Parameter start: where the pickle begins
    init(_ reader: LittleEndianReader, _ heap: PickleHeap, at start: Int = 0) {
        (self.reader, self.heap, place) = (reader, heap, start)
    }

    /// Where reading stopped, behind the pickle.
    var end: Int { place }

    private static let callable: Set<String> = [
        "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_parameter", "torch.Size", "torch.device", "_codecs.encode",
    ]
    private static let storages: [String: SafetensorsFile.DType] = [
        "torch.FloatStorage": .f32, "torch.HalfStorage": .f16, "torch.BFloat16Storage": .bf16,
        "torch.DoubleStorage": .f64, "torch.LongStorage": .i64, "torch.IntStorage": .i32, "torch.ShortStorage": .i16,
        "torch.CharStorage": .i8, "torch.ByteStorage": .u8, "torch.BoolStorage": .bool,
    ]
    private static let constants: Set<String> = [
        "torch.float32", "torch.float16", "torch.bfloat16", "torch.float64", "torch.int64", "torch.int32",
        "torch.int16", "torch.int8", "torch.uint8", "torch.bool",
    ]

    private static let lineLimit = 65_536

    /// What the original Stable Diffusion checkpoints (`sd-v1-4.ckpt`, `v1-5-pruned.ckpt`) hold beside their tensors: a
    /// trainer's callback as a key, and its best score. They stand for ``PickleValue/ignored`` and are never made.
    private static let ignored: Set<String> = [
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar", "numpy.dtype",
    ]

    /// Runs the pickle to its end.
    mutating func load() throws -> PickleValue {
        while true {
            let code = try byte()
            if code == UInt8(ascii: ".") { return try pop() }
            try step(code)
        }
    }

    private mutating func step(_ code: UInt8) throws {
        switch code {
        case 0x80: _ = try byte()  // PROTO
        case 0x95: _ = try number(8)  // FRAME
        case UInt8(ascii: "("):
            try heap.spend(32, reader)
            marks.append(stack.count)
        case UInt8(ascii: "0"): _ = try pop()
        case UInt8(ascii: "1"): _ = try popMark()

        case UInt8(ascii: "N"): try push(.none)
        case 0x88: try push(.bool(true))
        case 0x89: try push(.bool(false))
        case UInt8(ascii: "K"): try push(.integer(try number(1)))
        case UInt8(ascii: "M"): try push(.integer(try number(2)))
        case UInt8(ascii: "J"): try push(.integer(Int(Int32(truncatingIfNeeded: try number(4)))))
        case 0x8A: try push(.integer(try long(try number(1))))
        case UInt8(ascii: "I"), UInt8(ascii: "L"): try push(try decimal())
        case UInt8(ascii: "G"): try push(.real(try double()))

        case UInt8(ascii: "X"): try push(.text(try text(try number(4))))
        case 0x8C: try push(.text(try text(try number(1))))
        case 0x8D: try push(.text(try text(try number(8))))
        case UInt8(ascii: "U"): try push(.text(try text(try number(1))))
        case UInt8(ascii: "T"): try push(.text(try text(try number(4))))
        case UInt8(ascii: "V"): try push(.text(try line()))
        case UInt8(ascii: "C"): try skipBytes(try number(1))
        case UInt8(ascii: "B"): try skipBytes(try number(4))

        case UInt8(ascii: "}"): try push(.dictionary(heap.dictionary()))
        case UInt8(ascii: "]"): try push(.list(heap.list([])))
        case UInt8(ascii: ")"): try push(.tuple([], depth: 1))
        case 0x85, 0x86, 0x87:
            let values = try pop(Int(code) - 0x84)
            try push(try Self.tuple(values, reader))
        case UInt8(ascii: "t"):
            let values = try popMark()
            try push(try Self.tuple(values, reader))
        case UInt8(ascii: "l"): try push(.list(heap.list(try popMark())))
        case UInt8(ascii: "d"):
            try push(.dictionary(heap.dictionary()))
            let items = try popMarkBelowTop()
            try setItems(items)
        case UInt8(ascii: "s"):
            let item = try pop(2)
            try setItems(item)
        case UInt8(ascii: "u"):
            let items = try popMark()
            try setItems(items)
        case UInt8(ascii: "a"):
            let element = try pop()
            try append([element])
        case UInt8(ascii: "e"):
            let elements = try popMark()
            try append(elements)

        case UInt8(ascii: "q"): try memorize(try number(1))
        case UInt8(ascii: "r"): try memorize(try number(4))
        case UInt8(ascii: "p"): try memorize(try lineNumber())
        case 0x94: try memorize(memo.count)
        case UInt8(ascii: "h"): try recall(try number(1))
        case UInt8(ascii: "j"): try recall(try number(4))
        case UInt8(ascii: "g"): try recall(try lineNumber())

        case UInt8(ascii: "c"): try name(try line(), try line())
        case 0x93:
            guard case .text(let name) = try pop(), case .text(let module) = try pop() else {
                throw damaged("a name that is no text")
            }
            try self.name(module, name)
        case UInt8(ascii: "Q"):
            let id = try pop()
            try push(try persistent(id))
        case UInt8(ascii: "R"):
            let arguments = try pop()
            let function = try pop()
            try push(try call(function, arguments))
        case UInt8(ascii: "b"):
            // An OrderedDict's attributes (`_metadata`) carry no weights.
            _ = try pop()
            switch try top() {
            case .dictionary, .ignored: break
            default: throw refused("the state of an object")
            }
        default:
            throw refused(String(format: "the instruction 0x%02x, which makes objects", code))
        }
    }

    // MARK: Names and calls

    private mutating func name(_ module: String, _ name: String) throws {
        guard module.utf8.count + name.utf8.count <= 1024 else { throw damaged("a name without end") }
        let full = "\(module).\(name)"
        guard !Self.ignored.contains(full) else { return try push(.ignored) }
        guard Self.callable.contains(full) || Self.storages[full] != nil || Self.constants.contains(full) else {
            throw refused(full)
        }
        try push(.global(full))
    }

    private func refused(_ what: String) -> CheckpointError {
        CheckpointError(
            "\(reader.name): holds \(what), and only tensors are read from torch files, as anything else may run code. "
                + "If you trust the file, load it in Python and save its tensors as safetensors")
    }

    private func damaged(_ what: String) -> CheckpointError { reader.damaged("its pickle has \(what)") }

    private func call(_ function: PickleValue, _ arguments: PickleValue) throws -> PickleValue {
        if case .ignored = function { return .ignored }
        guard case .global(let name) = function, case .tuple(let values, _) = arguments else {
            throw refused("a call of something that is no function")
        }
        switch name {
        case "collections.OrderedDict":
            let dictionary = heap.dictionary()
            if case .list(let pairs)? = values.first {
                try heap.spend(48 * pairs.contents.count, reader)
                for pair in pairs.contents {
                    guard case .tuple(let two, _) = pair, two.count == 2 else { throw damaged("a pair that is none") }
                    dictionary.contents.append((two[0], two[1]))
                }
            }
            return .dictionary(dictionary)
        case "torch._utils._rebuild_parameter":
            guard case .tensor? = values.first else { throw damaged("a parameter that is no tensor") }
            return values[0]
        case "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor":
            guard values.count >= 4, case .storage(let storage) = values[0], case .integer(let offset) = values[1]
            else {
                throw damaged("a tensor without a storage")
            }
            return .tensor(
                .init(storage: storage, offset: offset, shape: try extents(values[2]), strides: try extents(values[3])))
        case "torch.Size", "torch.device":
            return values.first ?? .none
        case "_codecs.encode":
            return .bytes
        default:
            throw refused("a call of \(name)")
        }
    }

    private func extents(_ value: PickleValue) throws -> [Int] {
        guard case .tuple(let values, _) = value, values.count <= 16 else { throw damaged("a shape that is none") }
        return try values.map {
            guard case .integer(let extent) = $0, extent >= 0 else { throw damaged("a shape that is none") }
            return extent
        }
    }

    /// ("storage", type, key, device, count), as torch names what is kept outside the pickle.
    private func persistent(_ value: PickleValue) throws -> PickleValue {
        guard case .tuple(let parts, _) = value, parts.count >= 5, case .text("storage") = parts[0],
            case .global(let type) = parts[1], case .integer(let count) = parts[4], count >= 0
        else { throw damaged("a reference to something that is no storage") }
        guard let dtype = Self.storages[type] else { throw refused(type) }
        let key: String
        switch parts[2] {
        case .text(let text): key = text
        case .integer(let number): key = String(number)
        default: throw damaged("a storage without a key")
        }
        return .storage(.init(key: key, dtype: dtype, count: count))
    }

    // MARK: Stack

    private mutating func push(_ value: PickleValue) throws {
        try heap.spend(value.size, reader)
        stack.append(value)
    }

    private mutating func memorize(_ index: Int) throws {
        if memo[index] == nil { try heap.spend(96, reader) }
        memo[index] = try top()
    }

    // An argument that pops is taken before the call it is for: the call would hold on to the old stack, and every pop
    // copy it.

    private func top() throws -> PickleValue {
        guard let top = stack.last, stack.count > (marks.last ?? 0) else { throw damaged("an empty stack") }
        return top
    }

    private mutating func pop() throws -> PickleValue {
        let value = try top()
        stack.removeLast()
        return value
    }

    private mutating func pop(_ count: Int) throws -> [PickleValue] {
        guard stack.count - (marks.last ?? 0) >= count else { throw damaged("an empty stack") }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func popMark() throws -> [PickleValue] {
        guard let mark = marks.popLast() else { throw damaged("no mark") }
        defer { stack.removeLast(stack.count - mark) }
        return Array(stack[mark...])
    }

    /// As ``popMark()`` where a new dictionary was pushed after the values.
    private mutating func popMarkBelowTop() throws -> [PickleValue] {
        let dictionary = try pop()
        let values = try popMark()
        try push(dictionary)
        return values
    }

    private mutating func recall(_ index: Int) throws {
        guard let value = memo[index] else { throw damaged("a reference to nothing") }
        try push(value)
    }

    private static func tuple(_ values: [PickleValue], _ reader: LittleEndianReader) throws -> PickleValue {
        let depth = 1 + (values.map(\.depth).max() ?? 0)
        guard depth <= 64 else { throw reader.damaged("its pickle has tuples within tuples without end") }
        return .tuple(values, depth: depth)
    }

    private func setItems(_ values: [PickleValue]) throws {
        guard case .dictionary(let dictionary) = try top(), values.count.isMultiple(of: 2) else {
            throw damaged("items of no dictionary")
        }
        try heap.spend(24 * values.count, reader)
        for i in stride(from: 0, to: values.count, by: 2) { dictionary.contents.append((values[i], values[i + 1])) }
    }

    private func append(_ values: [PickleValue]) throws {
        guard case .list(let list) = try top() else { throw damaged("elements of no list") }
        try heap.spend(24 * values.count, reader)
        list.contents += values
    }

    // MARK: Bytes

    private mutating func byte() throws -> UInt8 { UInt8(try number(1)) }

    private mutating func number(_ width: Int) throws -> Int {
        defer { place += width }
        return try reader.number(place, width)
    }

    private mutating func text(_ length: Int) throws -> String {
        defer { place += length }
        guard let text = String(validating: try reader.bytes(place, length), as: UTF8.self) else {
            throw damaged("a text that is not UTF-8")
        }
        return text
    }

    private mutating func skipBytes(_ length: Int) throws {
        _ = try reader.bytes(place, length)
        place += length
        try push(.bytes)
    }

    private mutating func double() throws -> Double {
        defer { place += 8 }
        let bits = try reader.bytes(place, 8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Double(bitPattern: bits)
    }

    /// A signed number of so many bytes; torch's magic number has ten, of which the lowest eight are kept.
    private mutating func long(_ width: Int) throws -> Int {
        defer { place += width }
        let bytes = try reader.bytes(place, width)
        var value = bytes.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        if width < 8, let last = bytes.last, last & 0x80 != 0 { value |= ~0 << UInt64(8 * width) }
        return Int(truncatingIfNeeded: value)
    }

    private mutating func line() throws -> String {
        let rest = try reader.bytes(place, reader.bytes.count - place)
        guard let length = rest.prefix(Self.lineLimit).firstIndex(of: UInt8(ascii: "\n")) else {
            throw damaged("a line without an end")
        }
        place += length + 1
        guard let line = String(validating: rest[..<length], as: UTF8.self) else {
            throw damaged("a text that is not UTF-8")
        }
        return line
    }

    private mutating func lineNumber() throws -> Int {
        guard let number = Int(try line()) else { throw damaged("a number that is none") }
        return number
    }

    private mutating func decimal() throws -> PickleValue {
        let text = try line()
        if text == "01" { return .bool(true) }
        if text == "00" { return .bool(false) }
        guard let number = Int(text.hasSuffix("L") ? String(text.dropLast()) : text) else {
            throw damaged("a number that is none")
        }
        return .integer(number)
    }
}
