import Foundation
import ImageIO

/// PNG and JPEG files that are cut, changed, or small and announce much.
enum PictureMutants {
    /// What the decoder takes for a pixel: colours with alpha, without, over white, and turned; the codec's own rows.
    private static let bytesPerPixel = 16
    private static let limits = ImageLimits.standard

    static func all(bombs: Bool) throws -> [Mutant] {
        try png(bombs: bombs) + jpeg()
    }

    private static let picture: RGBImage = {
        var dice = Dice(7)
        return RGBImage(width: 40, height: 30, pixels: (0..<3600).map { _ in UInt8(dice.roll(256)) })
    }()
    private static let pixels = 40 * 30 * bytesPerPixel

    // MARK: PNG

    private static func chunk(_ type: String, _ payload: Data, crc wrong: UInt32 = 0) -> Data {
        var data = Data()
        data.big(UInt32(payload.count))
        let body = Data(type.utf8) + payload
        data += body
        data.big(crc32(body) ^ wrong)
        return data
    }

    private static let signature = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])

    private static func ihdr(
        _ width: UInt32, _ height: UInt32, depth: UInt8 = 8, colour: UInt8 = 2, _ rest: [UInt8] = [0, 0, 0]
    ) -> Data {
        var data = Data()
        data.big(width)
        data.big(height)
        return chunk("IHDR", data + Data([depth, colour] + rest))
    }

    /// Rows of zeros with their filter bytes.
    private static func idat(_ bytes: Int) -> Data { chunk("IDAT", zeros(bytes)) }
    private static let iend = chunk("IEND", Data())

    private static func png(bombs: Bool) throws -> [Mutant] {
        var mutants: [Mutant] = []
        func add(
            _ what: String, mustFail: Bool = true, pixels: Int = pixels,
            _ bytes: @autoclosure @escaping () -> Data
        ) {
            mutants.append(
                Mutant("PNG: \(what)", .picture, "photo.png", mustFail: mustFail, allowance: pixels, bytes()))
        }
        let whole = try picture.pngData(text: [("Software", "Likeness")])
        add("as it should be", mustFail: false, whole)
        for i in 0..<120 { add("cut at \(whole.count * i / 120)", whole.prefix(whole.count * i / 120)) }
        for cut in 1...12 { add("without its last \(cut) bytes", whole.dropLast(cut)) }
        var dice = Dice(8)
        for i in 0..<150 {
            let flipped = dice.flipped(whole)
            add("bytes changed (\(i))", mustFail: false, flipped)
        }
        let rows = 4 * (3 * 4 + 1)
        let good = ihdr(4, 4)
        add("4×4, as it should be", mustFail: false, signature + good + idat(rows) + iend)
        for (width, height) in [
            (0, 4), (4, 0), (0, 0), (1 << 31, 1), (.max, .max), (0x7FFF_FFFF, 0x7FFF_FFFF), (65535, 65535), (20001, 4),
            (4, 20001), (20000, 20000), (7000, 7000),
        ] as [(UInt32, UInt32)] {
            add("\(width)×\(height) pixels", signature + ihdr(width, height) + idat(rows) + iend)
        }
        for (width, height) in [(6000, 6000), (20000, 2000), (2000, 20000)] as [(UInt32, UInt32)] {
            add("\(width)×\(height) pixels announced, 16 there", signature + ihdr(width, height) + idat(rows) + iend)
        }
        for depth in [0, 3, 5, 7, 9, 32, 255] as [UInt8] {
            add("\(depth) bits", signature + ihdr(4, 4, depth: depth) + idat(rows) + iend)
        }
        for colour in [1, 5, 7, 255] as [UInt8] {
            add("colour type \(colour)", signature + ihdr(4, 4, colour: colour) + idat(rows) + iend)
        }
        for rest in [[1, 0, 0], [0, 1, 0], [0, 0, 2], [0, 0, 255]] as [[UInt8]] {
            add("methods \(rest)", signature + ihdr(4, 4, rest) + idat(rows) + iend)
        }
        let parts: [(String, Data)] = [("IHDR", good), ("IDAT", idat(rows)), ("IEND", iend)]
        for i in 0..<3 {
            add(
                "no \(parts[i].0)",
                parts.enumerated().reduce(signature) { $0 + ($1.offset == i ? Data() : $1.element.1) })
            for bit in [0, 7, 15, 31] as [UInt32] {
                let changed = parts[i].1.replacing(
                    at: parts[i].1.count - 4,
                    Array(parts[i].1.suffix(4)).enumerated().map {
                        $1 ^ UInt8(truncatingIfNeeded: (1 << bit) >> (24 - 8 * UInt32($0)))
                    })
                // The end's checksum may be passed over by a reader that has all pixels; ours does not.
                add(
                    "\(parts[i].0) with bit \(bit) of its checksum changed",
                    parts.enumerated().reduce(signature) { $0 + ($1.offset == i ? changed : $1.element.1) })
            }
            for length in [0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 20] as [UInt32] {
                var bytes = Data()
                bytes.big(length)
                let changed = parts[i].1.replacing(at: 0, Array(bytes))
                add(
                    "\(parts[i].0) of \(length) bytes",
                    parts.enumerated().reduce(signature) { $0 + ($1.offset == i ? changed : $1.element.1) })
            }
        }
        add("IHDR twice", signature + good + good + idat(rows) + iend)
        add("a palette picture without a palette", signature + ihdr(4, 4, colour: 3) + idat(20) + iend)
        add("an empty palette", signature + ihdr(4, 4, colour: 3) + chunk("PLTE", Data()) + idat(20) + iend)
        add("a palette of 7 bytes", signature + ihdr(4, 4, colour: 3) + chunk("PLTE", Data(count: 7)) + idat(20) + iend)
        add("too few rows", signature + good + idat(rows - 1) + iend)
        add("no rows", signature + good + idat(0) + iend)
        add(
            "rows that are no deflate stream", signature + good + chunk("IDAT", Data((0..<60).map { UInt8($0) })) + iend
        )
        add(
            "an unknown filter",
            signature + good + chunk("IDAT", stored(Data([9] + [UInt8](repeating: 0, count: rows - 1)))) + iend)
        add("a critical chunk that nobody knows", signature + good + chunk("ABCD", Data()) + idat(rows) + iend)
        add(
            "a text that unpacks to 64 MB", mustFail: false,
            signature + good + chunk("zTXt", Data("Comment\u{0}\u{0}".utf8) + zeros(64 << 20)) + idat(rows) + iend)
        add(
            "a colour profile that unpacks to 64 MB", mustFail: false,
            signature + good + chunk("iCCP", Data("p\u{0}\u{0}".utf8) + zeros(64 << 20)) + idat(rows) + iend)
        add(
            "an international text that unpacks to 64 MB", mustFail: false,
            signature + good + chunk("iTXt", Data("Comment\u{0}\u{1}\u{0}\u{0}\u{0}".utf8) + zeros(64 << 20))
                + idat(rows) + iend)
        add(
            "Exif that lies about its offsets", mustFail: false,
            signature + good + chunk("eXIf", Data("II*\u{0}".utf8) + Data([UInt8](repeating: 0xFF, count: 30)))
                + idat(rows) + iend)
        for text in ["", "\u{89}PNG", "GIF89a", "BM", "RIFF", "<svg/>", "II*\u{0}"] {
            add("the text \(text.debugDescription)", Data(text.utf8))
        }
        add("only the signature", signature)
        if bombs {
            let side = 6000
            add(
                "\(side)×\(side) grey pixels in 230 kB", mustFail: false, pixels: side * side * bytesPerPixel,
                signature + ihdr(UInt32(side), UInt32(side), colour: 0) + idat((side + 1) * side) + iend)
            add("a stream of 200 MB for 16 pixels", mustFail: false, signature + good + idat(200 << 20) + iend)
        }
        return mutants
    }

    // MARK: JPEG

    private static func jpeg() throws -> [Mutant] {
        var mutants: [Mutant] = []
        func add(
            _ what: String, mustFail: Bool = true, pixels: Int = pixels,
            _ bytes: @autoclosure @escaping () -> Data
        ) {
            mutants.append(
                Mutant("JPEG: \(what)", .picture, "photo.jpg", mustFail: mustFail, allowance: pixels, bytes()))
        }
        let whole = try picture.jpegData()
        add("as it should be", mustFail: false, whole)
        for i in 0..<120 { add("cut at \(whole.count * i / 120)", whole.prefix(whole.count * i / 120)) }
        for cut in 1...12 { add("without its last \(cut) bytes", whole.dropLast(cut)) }
        var dice = Dice(9)
        for i in 0..<250 {
            let flipped = dice.flipped(whole, i % 2 == 0 ? 0..<whole.count : 0..<640)
            // Any size can be announced by chance, up to the limit.
            add("bytes changed (\(i))", mustFail: false, pixels: limits.pixels * bytesPerPixel, flipped)
        }
        // Segments: marker, place, length.
        var segments: [(marker: UInt8, place: Int, length: Int)] = []
        var at = 2
        while at + 4 <= whole.count, whole[at] == 0xFF {
            let length = Int(whole[at + 2]) << 8 | Int(whole[at + 3])
            segments.append((whole[at + 1], at, length))
            if whole[at + 1] == 0xDA { break }
            at += 2 + length
        }
        for (marker, place, length) in segments {
            let name = String(format: "segment %02X", marker)
            for wrong in [0, 1, 2, 3, length - 1, length + 1, 0xFFFF] where marker != 0xE0 {
                add(
                    "\(name) of \(wrong) bytes", mustFail: wrong < 3 && marker != 0xC4,
                    whole.replacing(at: place + 2, [UInt8(wrong >> 8), UInt8(wrong & 255)]))
            }
            // JFIF's own segment can be done without, and so can Huffman tables: there are usual ones.
            if [0xC0, 0xC4, 0xDA].contains(marker) {
                add("no \(name)", mustFail: marker != 0xC4, whole.prefix(place) + whole.dropFirst(place + 2 + length))
            }
            guard marker == 0xC0 else { continue }
            for (width, height) in [
                (0, 30), (40, 0), (65535, 65535), (20001, 30), (40, 20001), (7000, 7000), (6000, 6000),
            ] {
                add(
                    "\(width)×\(height) pixels",
                    whole.replacing(
                        at: place + 5, [UInt8(height >> 8), UInt8(height & 255), UInt8(width >> 8), UInt8(width & 255)])
                )
            }
            for precision in [0, 1, 7, 9, 12, 16, 255] as [UInt8] {
                add("\(precision) bits", whole.replacing(at: place + 4, [precision]))
            }
            for components in [0, 2, 4, 5, 255] as [UInt8] {
                add("\(components) components", whole.replacing(at: place + 9, [components]))
            }
            for sampling in [0x00, 0x01, 0x10, 0x50, 0x05, 0xFF] as [UInt8] {
                add("sampling \(sampling)", whole.replacing(at: place + 11, [sampling]))
            }
            for table in [4, 255] as [UInt8] {
                add("quantisation table \(table)", whole.replacing(at: place + 12, [table]))
            }
            for process in [0xC3, 0xC5, 0xC6, 0xC7, 0xC8, 0xCB, 0xCD, 0xCE, 0xCF] as [UInt8] {
                add(String(format: "process %02X", process), whole.replacing(at: place + 1, [process]))
            }
        }
        // A progressive file of a thousand scans.
        if let start = segments.first(where: { $0.marker == 0xC0 }), let scan = segments.last, scan.marker == 0xDA {
            let head = whole.prefix(scan.place).replacing(at: start.place + 1, [0xC2])
            add(
                "a thousand progressive scans",
                {
                    var data = head
                    for _ in 0..<1000 { data += Data([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0, 0]) }
                    return data + Data([0xFF, 0xD9])
                }())
        }
        add("only the start", whole.prefix(3))
        add("start and end", Data([0xFF, 0xD8, 0xFF, 0xD9]))
        add(
            "an Exif segment that lies", mustFail: false,
            whole.prefix(2) + Data([0xFF, 0xE1, 0, 20]) + Data("Exif\u{0}\u{0}II*\u{0}".utf8)
                + Data([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]) + whole.dropFirst(2))
        return mutants
    }
}

// MARK: - Checksums and deflate, as far as they are needed

private let crcTable: [UInt32] = (0..<256).map { i in
    (0..<8).reduce(UInt32(i)) { c, _ in c & 1 == 1 ? 0xEDB8_8320 ^ c >> 1 : c >> 1 }
}

private func crc32(_ data: Data) -> UInt32 {
    ~data.reduce(~UInt32(0)) { crcTable[Int(($0 ^ UInt32($1)) & 255)] ^ $0 >> 8 }
}

/// A zlib stream of the bytes, not packed.
private func stored(_ bytes: Data) -> Data {
    var data = Data([0x78, 1, 1])
    data.little(UInt64(bytes.count), 2)
    data.little(UInt64(~UInt16(bytes.count)), 2)
    data += bytes
    let (a, b) = bytes.reduce((UInt32(1), UInt32(0))) { sums, byte in
        let a = (sums.0 + UInt32(byte)) % 65521
        return (a, (sums.1 + a) % 65521)
    }
    data.big(b << 16 | a)
    return data
}

/// A zlib stream of so many zeros: one literal, then copies of 258 bytes in thirteen bits each (RFC 1951, 3.2.6).
private func zeros(_ count: Int) -> Data {
    var data = Data([0x78, 1])
    var (bits, held) = (UInt64(0), 0)
    func put(_ value: UInt64, _ width: Int) {
        bits |= value << UInt64(held)
        held += width
        while held >= 8 {
            data.append(UInt8(truncatingIfNeeded: bits))
            bits >>= 8
            held -= 8
        }
    }
    /// Huffman codes come with their first bit first.
    func code(_ value: UInt64, _ width: Int) {
        put((0..<width).reduce(UInt64(0)) { $0 | (value >> UInt64(width - 1 - $1) & 1) << UInt64($1) }, width)
    }
    put(1, 1)
    put(1, 2)
    var left = count
    if left > 0 {
        code(0x30, 8)
        left -= 1
    }
    while left >= 258 {
        code(0xC5, 8)  // length 258
        code(0, 5)  // distance 1
        left -= 258
    }
    for _ in 0..<left { code(0x30, 8) }
    code(0, 7)
    put(0, 7)
    data.big(UInt32(count % 65521) << 16 | 1)
    return data
}
