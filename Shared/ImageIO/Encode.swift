import CImageCodecs
public import Foundation

extension RGBImage {
    /// The picture as a PNG file of 8-bit RGB; equal pictures and texts give equal bytes.
    ///
    /// - Parameter text: Notes kept in the file (keyword, text): `tEXt` where ASCII suffices, else `iTXt`.
    /// - Throws: `ImageError.unwritable` for a keyword that is not 1 to 79 printable ASCII characters, or text with
    ///   a zero character.
    public func pngData(text: [(String, String)] = []) throws -> Data {
        let chunks = try text.flatMap(textChunk)
        return try write(.png) {
            codec_png_encode(pixels, UInt32(width), UInt32(height), chunks, chunks.count, &$0)
        }
    }

    /// The picture as a baseline JPEG file with colour at half resolution.
    ///
    /// - Parameter quality: 1 to 100, on libjpeg's scale.
    /// - Throws: `ImageError.unwritable` for another quality, or more than 65,500 pixels a side.
    public func jpegData(quality: Int = 92) throws -> Data {
        guard (1...100).contains(quality) else {
            throw ImageError.unwritable(reason: "JPEG quality \(quality) is not between 1 and 100")
        }
        return try write(.jpeg) { codec_jpeg_encode(pixels, UInt32(width), UInt32(height), Int32(quality), &$0) }
    }

    private func write(_ format: ImageFormat, _ encode: (inout codec_bytes) -> Int32) throws -> Data {
        var file = codec_bytes()
        let status = encode(&file)
        defer { free(file.data) }
        guard UInt32(status) == CODEC_OK.rawValue, let data = file.data else {
            throw ImageError.unwritable(reason: "\(format): \(ImageIO.text(&file.message))")
        }
        return Data(bytes: data, count: file.size)
    }
}

/// One text chunk as `codec_png_encode` takes it (PNG specification, 11.3.4): length, type, payload.
private func textChunk(_ keyword: String, _ text: String) throws -> [UInt8] {
    guard (1...79).contains(keyword.utf8.count), keyword.utf8.allSatisfy({ (32...126).contains($0) }),
        !keyword.hasPrefix(" "), !keyword.hasSuffix(" ")
    else {
        throw ImageError.unwritable(reason: "the PNG keyword \"\(keyword)\" is not 1 to 79 printable ASCII characters")
    }
    guard !text.utf8.contains(0), text.utf8.count < 1 << 30 else {
        throw ImageError.unwritable(reason: "the PNG text of \"\(keyword)\" has a zero character or is over 1 GiB")
    }
    let plain = text.utf8.allSatisfy { $0 < 128 }
    // iTXt: after the keyword come "not compressed", the method, an empty language and an empty translation.
    let payload = Array(keyword.utf8) + (plain ? [0] : [0, 0, 0, 0, 0]) + Array(text.utf8)
    let length = (0..<4).map { UInt8(truncatingIfNeeded: payload.count >> (24 - 8 * $0)) }
    return length + Array((plain ? "tEXt" : "iTXt").utf8) + payload
}
