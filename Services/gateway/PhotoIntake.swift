import Contracts
import Dispatch
import Foundation
import ImageIO
import Store

/// Checks the files that users send by decoding all of their pixels, one file at a time: a few large pictures sent at
/// once neither fill the memory nor hold up the threads that answer requests.
struct PhotoIntake: Sendable {
    /// A file that can be decoded.
    struct Photo: Sendable {
        let type: ObjectType
        let width: Int
        let height: Int
    }

    private let queue = DispatchQueue(label: "photo intake")

    /// Decodes a file.
    /// - Throws: `APIError` naming the file, the problem and the remedy.
    func check(_ data: Data, filename: String) async throws -> Photo {
        try await withCheckedThrowingContinuation { continuation in
            queue.async {
                continuation.resume(with: Result { try Self.decode(data, filename: filename) })
            }
        }
    }

    private static func decode(_ data: Data, filename: String) throws -> Photo {
        do {
            let image = try ImageFile.decode(data)
            let type: ObjectType =
                switch image.format {
                case .png: .png
                case .jpeg: .jpeg
                }
            return Photo(type: type, width: image.rgb.width, height: image.rgb.height)
        } catch let error as ImageError {
            throw refusal(of: filename, error)
        }
    }

    private static func refusal(of filename: String, _ error: ImageError) -> APIError {
        switch error {
        case .empty: APIError(422, "\(filename) is empty (0 bytes)", remedy: "choose the file again")
        case .unknownFormat:
            APIError(415, "\(filename) is neither a PNG nor a JPEG picture", remedy: "convert it to one of the two")
        case .damaged(let format, let reason):
            APIError(
                422, "\(filename) is a damaged or cut off \(format) file (\(reason))",
                remedy: "copy or export the picture again")
        case .tooLarge(let width, let height, let limits):
            APIError(
                413, "\(filename) is \(width)×\(height) pixels large",
                remedy: "scale it down to at most \(limits.pixels / 1_000_000) megapixels and \(limits.side) a side")
        case .outOfMemory:
            APIError(503, "there is not enough memory to open \(filename)", remedy: "try again, or scale it down")
        case .unwritable: APIError(500, "\(filename): \(error)", remedy: "see the gateway's log")
        }
    }
}
