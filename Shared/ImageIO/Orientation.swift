/// Which way up a camera was held: Exif's tag 0x0112, values 1...8 (Exif 2.3, section 4.6.4).
struct Orientation {
    /// 1 is upright; 2 mirrored; 3 upside down; 6 and 8 lie on a side; 4, 5 and 7 are mirrored as well.
    let value: Int

    init(_ value: Int) { self.value = (1...8).contains(value) ? value : 1 }

    /// What a file says of itself; upright if it says nothing, or nonsense.
    init(ofFile bytes: [UInt8], _ format: ImageFormat) {
        let exif =
            switch format {
            case .png: Self.exifOfPNG(bytes)
            case .jpeg: Self.exifOfJPEG(bytes)
            }
        self.init(exif.flatMap(Self.tag) ?? 1)
    }

    /// Whether width and height trade places.
    var swapsSides: Bool { value >= 5 }

    /// The picture as it was seen.
    func upright(_ image: RGBImage) -> RGBImage {
        if value == 1 { return image }
        let (w, h) = (image.width, image.height)
        let (outWidth, outHeight) = swapsSides ? (h, w) : (w, h)
        var pixels = [UInt8](repeating: 0, count: image.pixels.count)
        for y in 0..<outHeight {
            for x in 0..<outWidth {
                let (fromX, fromY) =
                    switch value {
                    case 2: (w - 1 - x, y)
                    case 3: (w - 1 - x, h - 1 - y)
                    case 4: (x, h - 1 - y)
                    case 5: (y, x)
                    case 6: (y, h - 1 - x)
                    case 7: (w - 1 - y, h - 1 - x)
                    default: (w - 1 - y, x)
                    }
                let (from, to) = ((fromY * w + fromX) * 3, (y * outWidth + x) * 3)
                for channel in 0..<3 { pixels[to + channel] = image.pixels[from + channel] }
            }
        }
        return RGBImage(width: outWidth, height: outHeight, pixels: pixels)
    }

    /// The payload of the first APP1 segment that is Exif.
    private static func exifOfJPEG(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
        var at = 2
        while at + 4 <= bytes.count, bytes[at] == 0xFF {
            let marker = bytes[at + 1]
            if marker == 0xFF {  // padding before a marker
                at += 1
                continue
            }
            if marker == 0xDA || marker == 0xD9 { return nil }  // the pixels begin
            let end = at + 2 + (Int(bytes[at + 2]) << 8) + Int(bytes[at + 3])
            guard end >= at + 4, end <= bytes.count else { return nil }
            let payload = bytes[(at + 4)..<end]
            if marker == 0xE1, payload.starts(with: Array("Exif\0\0".utf8)) { return payload.dropFirst(6) }
            at = end
        }
        return nil
    }

    /// The payload of the `eXIf` chunk.
    private static func exifOfPNG(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
        var at = 8
        while at + 12 <= bytes.count {
            let length = bytes[at..<(at + 4)].reduce(0) { $0 << 8 | Int($1) }
            let end = at + 8 + length
            guard end <= bytes.count else { return nil }
            if bytes[(at + 4)..<(at + 8)].elementsEqual("eXIf".utf8) { return bytes[(at + 8)..<end] }
            at = end + 4
        }
        return nil
    }

    /// Finds the orientation in Exif's TIFF structure: its first directory's entry 0x0112, a 16-bit number.
    private static func tag(_ exif: ArraySlice<UInt8>) -> Int? {
        let bytes = Array(exif)
        let little = bytes.starts(with: [0x49, 0x49, 42, 0])
        guard little || bytes.starts(with: [0x4D, 0x4D, 0, 42]) else { return nil }
        func number(_ at: Int, _ size: Int) -> Int? {
            guard at >= 0, at + size <= bytes.count else { return nil }
            let field = bytes[at..<(at + size)]
            return (little ? Array(field.reversed()) : Array(field)).reduce(0) { $0 << 8 | Int($1) }
        }
        guard let directory = number(4, 4), let count = number(directory, 2) else { return nil }
        for entry in 0..<count {
            let at = directory + 2 + entry * 12
            guard let tag = number(at, 2) else { return nil }
            if tag == 0x0112 { return number(at + 8, 2) }
        }
        return nil
    }
}
