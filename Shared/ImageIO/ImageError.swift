/// Why a picture could not be read or written; each description names the problem and the remedy.
public enum ImageError: Error, Equatable, CustomStringConvertible {
    /// There are no bytes.
    case empty
    /// The bytes are neither PNG nor JPEG.
    case unknownFormat
    /// The file is cut off or corrupt; `reason` is the codec's own words.
    case damaged(format: ImageFormat, reason: String)
    /// The header announces more pixels than allowed.
    case tooLarge(width: Int, height: Int, limits: ImageLimits)
    /// There is not enough memory for the pixels.
    case outOfMemory
    /// The picture cannot be written.
    case unwritable(reason: String)

    /// The problem and what to do about it.
    public var description: String {
        switch self {
        case .empty: "The picture file is empty (0 bytes); choose the file again."
        case .unknownFormat: "The file is neither a PNG nor a JPEG picture; convert it to one of the two."
        case .damaged(let format, let reason):
            "The \(format) file is damaged or cut off (\(reason)); copy or export the picture again."
        case .tooLarge(let width, let height, let limits):
            """
            The picture is \(width) x \(height) pixels; the limit is \(limits.pixels) pixels in all \
            and \(limits.side) a side. Scale it down first.
            """
        case .outOfMemory: "There is not enough memory to open the picture; use a smaller one."
        case .unwritable(let reason): "The picture cannot be written: \(reason)."
        }
    }
}

/// Why a file could not be read as a picture.
public struct ImageFileError: Error, Equatable, CustomStringConvertible {
    /// The file.
    public let path: String
    /// The problem and the remedy, a sentence or two.
    public let reason: String

    /// The file, the problem and the remedy.
    public var description: String { "\(path): \(reason)" }
}

/// A format of picture files that `ImageFile` reads.
public enum ImageFormat: String, Sendable, CustomStringConvertible {
    /// Portable Network Graphics.
    case png
    /// JPEG, baseline or progressive.
    case jpeg

    /// The usual spelling.
    public var description: String { rawValue.uppercased() }
    /// The media type, for HTTP.
    public var mediaType: String { "image/\(rawValue)" }
}

/// How large a picture may be; checked from the header, before memory is taken for pixels.
public struct ImageLimits: Sendable, Equatable {
    /// Most pixels in all.
    public var pixels: Int
    /// Most pixels of width and of height.
    public var side: Int

    /// Limits of a given number of pixels in all and a side.
    public init(pixels: Int, side: Int) {
        self.pixels = pixels
        self.side = side
    }

    /// 40 megapixels, 20,000 pixels a side: any phone's photo.
    public static let standard = ImageLimits(pixels: 40_000_000, side: 20_000)
}
