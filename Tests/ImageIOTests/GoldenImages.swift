import Checkpoint
import Foundation
import ImageIO
import TestSupport
import Testing

/// A case of the golden references.
struct GoldenCase {
    let folder: URL
    let description: [String: Any]
    let tensors: SafetensorsFile

    init(_ name: String) throws {
        folder = GoldenFiles.folder.appending(path: name)
        let json = try Data(contentsOf: folder.appending(path: "case.json"))
        description = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
        tensors = try SafetensorsFile(folder.appending(path: "tensors.safetensors"))
    }

    /// A stored H x W x 3 picture.
    func image(_ name: String) throws -> RGBImage {
        let shape = try #require(tensors.shape(of: name), "\(name) in \(folder.path)")
        return RGBImage(width: shape[1], height: shape[0], pixels: try tensors.bytes(name))
    }

    /// The contents of one of the case's picture files.
    func file(_ name: String) throws -> Data {
        try Data(contentsOf: folder.appending(path: "files").appending(path: name))
    }
}

/// How far two pictures of one size are apart, in levels.
struct LevelDifference {
    let largest: Int
    let mean: Double

    init(_ got: RGBImage, _ want: RGBImage) throws {
        try #require(got.width == want.width && got.height == want.height)
        let apart = zip(got.pixels, want.pixels).map { abs(Int($0) - Int($1)) }
        largest = apart.max() ?? 0
        mean = Double(apart.reduce(0, +)) / Double(apart.count)
    }
}
