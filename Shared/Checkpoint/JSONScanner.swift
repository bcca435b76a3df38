/// Reads JSON in place, for the tables in front of and beside checkpoints: nothing is built but what is asked for, so a
/// file's table cannot take many times its own size in memory.
struct JSONScanner {
    /// Where the text stops making sense, and why.
    struct Malformed: Error, CustomStringConvertible {
        let what: String
        let place: Int
        var description: String { "\(what) at byte \(place)" }
    }

    private let bytes: UnsafeRawBufferPointer
    private var place = 0

    private static let depthLimit = 64
    /// Keys are repeated in messages and tables; no tensor's name is as long.
    private static let keyLimit = 4096

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// An object; `member` is called behind every key and must read its value.
    mutating func object(_ member: (inout JSONScanner, String) throws -> Void) throws {
        try expect("{")
        if take("}") { return }
        repeat {
            let key = try string(atMost: Self.keyLimit)
            try expect(":")
            try member(&self, key)
        } while take(",")
        try expect("}")
    }

    /// An array; `element` is called before every element and must read it.
    mutating func array(_ element: (inout JSONScanner) throws -> Void) throws {
        try expect("[")
        if take("]") { return }
        repeat { try element(&self) } while take(",")
        try expect("]")
    }

    /// A string.
    ///
    /// - Parameter limit: bytes that it may have
    mutating func string(atMost limit: Int = .max) throws -> String {
        try expect("\"")
        let start = place
        while let byte = next(), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { place += 1 }
        guard place - start <= limit else { throw malformed("a name of more than \(limit) bytes") }
        if next() == UInt8(ascii: "\"") {
            defer { place += 1 }
            return try text(UnsafeRawBufferPointer(rebasing: bytes[start..<place]))
        }
        var unescaped = [UInt8](bytes[start..<place])
        while let byte = next(), byte != UInt8(ascii: "\"") {
            guard byte >= 0x20 else { throw malformed("a control character in a string") }
            place += 1
            if byte == UInt8(ascii: "\\") {
                unescaped += Array(String(try escape()).utf8)
            } else {
                unescaped.append(byte)
            }
        }
        guard next() != nil else { throw malformed("a string without an end") }
        guard unescaped.count <= limit else { throw malformed("a name of more than \(limit) bytes") }
        place += 1
        return try unescaped.withUnsafeBytes { try text($0) }
    }

    /// A whole number.
    mutating func integer() throws -> Int {
        skipSpace()
        let start = place
        if next() == UInt8(ascii: "-") { place += 1 }
        while let byte = next(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { place += 1 }
        let digits = bytes[start..<place]
        if let byte = next(), [".", "e", "E"].contains(where: { byte == UInt8(ascii: $0) }) {
            throw malformed("a number that is not whole")
        }
        guard let number = Int(String(decoding: digits, as: UTF8.self)) else {
            throw malformed("no whole number")
        }
        return number
    }

    /// Passes over a value of any kind.
    mutating func skip(depth: Int = 0) throws {
        guard depth < Self.depthLimit else { throw malformed("values within values without end") }
        skipSpace()
        switch next() {
        case UInt8(ascii: "{"): try object { scanner, _ in try scanner.skip(depth: depth + 1) }
        case UInt8(ascii: "["): try array { try $0.skip(depth: depth + 1) }
        case UInt8(ascii: "\""): _ = try string()
        default:
            let start = place
            while let byte = next(), byte > 0x20, ![",", "}", "]"].contains(where: { byte == UInt8(ascii: $0) }) {
                place += 1
            }
            let word = String(decoding: bytes[start..<min(place, start + 64)], as: UTF8.self)
            guard ["true", "false", "null"].contains(word) || Double(word)?.isFinite == true else {
                throw malformed("something that is no value")
            }
        }
    }

    /// Nothing but white space is left.
    mutating func end() throws {
        skipSpace()
        guard place == bytes.count else { throw malformed("more than one value") }
    }

    // MARK: Characters

    private func malformed(_ what: String) -> Malformed { Malformed(what: what, place: place) }

    private func next() -> UInt8? { place < bytes.count ? bytes[place] : nil }

    private mutating func skipSpace() {
        while let byte = next(), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { place += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard next() == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws {
        guard take(character) else { throw malformed("no \(character)") }
    }

    private func text(_ part: UnsafeRawBufferPointer) throws -> String {
        guard let text = String(validating: part, as: UTF8.self) else { throw malformed("a string that is not UTF-8") }
        return text
    }

    /// What follows a backslash.
    private mutating func escape() throws -> Unicode.Scalar {
        guard let byte = next() else { throw malformed("a string without an end") }
        place += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let unit = try hexadecimal()
            if let scalar = Unicode.Scalar(unit) { return scalar }
            // A character beyond U+FFFF is two units.
            guard unit < 0xDC00, next() == UInt8(ascii: "\\") else { throw malformed("half a character") }
            place += 1
            guard next() == UInt8(ascii: "u") else { throw malformed("half a character") }
            place += 1
            let second = try hexadecimal()
            guard (0xDC00..<0xE000).contains(second),
                let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (second - 0xDC00))
            else { throw malformed("half a character") }
            return scalar
        default: throw malformed("an unknown escape")
        }
    }

    private mutating func hexadecimal() throws -> UInt32 {
        guard place + 4 <= bytes.count,
            let value = UInt32(String(decoding: bytes[place..<place + 4], as: UTF8.self), radix: 16)
        else { throw malformed("an unknown escape") }
        place += 4
        return value
    }
}
