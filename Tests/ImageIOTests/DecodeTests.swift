import Foundation
import ImageIO
import TestSupport
import Testing

@Suite(
    "Decoding, against Pillow's pixels",
    .enabled(if: GoldenFiles.areThere, Comment(rawValue: GoldenFiles.areMissing)))
struct DecodeTests {
    @Test func everyGoldenFileDecodes() throws {
        let golden = try GoldenCase("images")
        let files = try #require(golden.description["files"] as? [String: [String: Any]])
        #expect(files.count >= 20)
        for (name, facts) in files.sorted(by: { $0.key < $1.key }) {
            let data = try golden.file(name)
            let decoded = try ImageFile.decode(data)
            let difference = try LevelDifference(decoded.rgb, golden.image("out.\(name).rgb"))
            if decoded.format == .png {
                #expect(difference.largest == 0, "\(name)")
                #expect(decoded.hasAlpha == (facts["alpha"] as? Bool), "\(name)")
            } else {
                #expect(difference.largest <= 3 && difference.mean <= 0.5, "\(name): \(difference)")
            }
            if decoded.hasAlpha {
                let apart = try LevelDifference(decoded.overWhite, golden.image("out.\(name).over_white"))
                #expect(apart.largest <= 1, "\(name) over white")
            } else {
                #expect(decoded.overWhite == decoded.rgb, "\(name)")
            }
            let probed = try ImageFile.probe(data)
            #expect(probed == (decoded.format, decoded.rgb.width, decoded.rgb.height), "\(name)")
        }
    }

    @Test func brokenGoldenFilesFailWithReasonAndRemedy() throws {
        let golden = try GoldenCase("images")
        let names = try #require(golden.description["must_fail_cleanly"] as? [String])
        #expect(!names.isEmpty)
        for name in names {
            let data = try golden.file(name)
            let error = try #require(throws: ImageError.self, "\(name)") { try ImageFile.decode(data) }
            #expect("\(error)".count > 30 && "\(error)".hasSuffix("."), "\(name): \(error)")
        }
        #expect(throws: ImageError.empty) { try ImageFile.decode(Data()) }
        #expect(throws: ImageError.unknownFormat) { try ImageFile.decode(Data("GIF89a".utf8)) }
    }
}
