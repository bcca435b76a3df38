import CImageCodecs
public import Foundation

/// What a picture file holds, upright.
public struct DecodedImage: Sendable, Equatable {
    /// The colours as stored; alpha is ignored.
    public let rgb: RGBImage
    /// The colours composited over white, as a person would see the picture on a page.
    public let overWhite: RGBImage
    /// The file's format.
    public let format: ImageFormat
    /// Whether the file has an alpha channel, or colours marked as transparent.
    public let hasAlpha: Bool
}

/// Reads PNG and JPEG files, told apart by their content.
///
/// Every kind of either becomes 8-bit RGB: palettes are looked up, gray is repeated, 16 bits become
/// round(v / 257), `gAMA` is ignored, CMYK follows Adobe's inverted convention. The Exif orientation is applied.
public enum ImageFile {
    /// The format and size of a picture, from its header alone, as `decode` would return it.
    ///
    /// - Throws: `ImageError`; the size is not limited.
    public static func probe(_ data: Data) throws -> (format: ImageFormat, width: Int, height: Int) {
        let bytes = [UInt8](data)
        let format = try sniff(bytes)
        let header = try withDecoded(bytes, format, ImageLimits(pixels: .max, side: .max), headerOnly: true) { $0 }
        let (width, height) = (Int(header.width), Int(header.height))
        let turned = Orientation(ofFile: bytes, format).swapsSides
        return (format, turned ? height : width, turned ? width : height)
    }

    /// Reads a whole picture.
    ///
    /// - Throws: `ImageError`, when the file is damaged in any way or larger than `limits`.
    public static func decode(_ data: Data, limits: ImageLimits = .standard) throws -> DecodedImage {
        let bytes = [UInt8](data)
        let format = try sniff(bytes)
        let orientation = Orientation(ofFile: bytes, format)
        return try withDecoded(bytes, format, limits, headerOnly: false) { image in
            let (width, height) = (Int(image.width), Int(image.height))
            let rgba = UnsafeBufferPointer(start: image.pixels, count: width * height * 4)
            let hasAlpha = image.has_alpha != 0
            let rgb = orientation.upright(picture(rgba, width, height) { level, _ in level })
            guard hasAlpha else { return DecodedImage(rgb: rgb, overWhite: rgb, format: format, hasAlpha: false) }
            let overWhite = picture(rgba, width, height) { level, alpha in
                let (level, alpha) = (Int(level), Int(alpha))
                let white = 255 * (255 - alpha)
                return UInt8((level * alpha + white + 127) / 255)
            }
            return DecodedImage(
                rgb: rgb, overWhite: orientation.upright(overWhite), format: format, hasAlpha: true)
        }
    }

    /// A file larger than this is no picture: ``ImageLimits/standard`` pixels take less, uncompressed.
    public static let sizeLimit = 256 << 20

    /// Reads the picture in a file.
    ///
    /// - Throws: `ImageFileError`, which names the file
    public static func decode(contentsOf url: URL, limits: ImageLimits = .standard) throws -> DecodedImage {
        do {
            let size = try FileManager.default.attributesOfItem(atPath: url.path)[.size] as? Int ?? 0
            guard size <= sizeLimit else {
                throw ImageFileError(
                    path: url.path, reason: "The file has \(size) bytes, no picture has more than \(sizeLimit).")
            }
            return try decode(Data(contentsOf: url), limits: limits)
        } catch let error as ImageError {
            throw ImageFileError(path: url.path, reason: error.description)
        } catch let error as CocoaError {
            throw ImageFileError(path: url.path, reason: "It cannot be read: \(error.localizedDescription)")
        }
    }

    private static func sniff(_ bytes: [UInt8]) throws -> ImageFormat {
        if bytes.isEmpty { throw ImageError.empty }
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]) { return .png }
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) { return .jpeg }
        throw ImageError.unknownFormat
    }

    /// Lends `body` what the codec read; the pixels (none with `headerOnly`) are freed afterwards.
    private static func withDecoded<Result>(
        _ bytes: [UInt8], _ format: ImageFormat, _ limits: ImageLimits, headerOnly: Bool,
        _ body: (codec_image) throws -> Result
    ) throws -> Result {
        let bounds = codec_limits(
            max_side: UInt32(clamping: limits.side), max_pixels: UInt64(clamping: limits.pixels),
            header_only: headerOnly ? 1 : 0)
        var image = codec_image()
        let status =
            switch format {
            case .png: codec_png_decode(bytes, bytes.count, bounds, &image)
            case .jpeg: codec_jpeg_decode(bytes, bytes.count, bounds, &image)
            }
        defer { free(image.pixels) }
        switch UInt32(status) {
        case CODEC_OK.rawValue: return try body(image)
        case CODEC_TOO_LARGE.rawValue:
            throw ImageError.tooLarge(width: Int(image.width), height: Int(image.height), limits: limits)
        case CODEC_NO_MEMORY.rawValue: throw ImageError.outOfMemory
        default: throw ImageError.damaged(format: format, reason: text(&image.message))
        }
    }

    /// RGB out of RGBA, by a rule for (level, alpha).
    private static func picture(
        _ rgba: UnsafeBufferPointer<UInt8>, _ width: Int, _ height: Int, _ rule: (UInt8, UInt8) -> UInt8
    ) -> RGBImage {
        let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { levels, count in
            for pixel in 0..<(width * height) {
                for channel in 0..<3 {
                    levels[pixel * 3 + channel] = rule(rgba[pixel * 4 + channel], rgba[pixel * 4 + 3])
                }
            }
            count = width * height * 3
        }
        return RGBImage(width: width, height: height, pixels: pixels)
    }
}

/// The text in a C array of characters.
func text<Characters>(_ characters: inout Characters) -> String {
    withUnsafeBytes(of: &characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
