import Foundation
import ImageIO
import TestSupport
import Testing

@Suite(
    "Decoding; pixels are compared by the golden case",
    .enabled(if: GoldenFiles.areThere, Comment(rawValue: GoldenFiles.areMissing)))
struct DecodeTests {
    @Test func alphaIsToldAndProbingSeesTheSame() throws {
        let golden = try GoldenCase("images")
        let files = try #require(golden.description["files"] as? [String: [String: Any]])
        #expect(files.count >= 20)
        for (name, facts) in files.sorted(by: { $0.key < $1.key }) {
            let data = try golden.file(name)
            let decoded = try ImageFile.decode(data)
            #expect(decoded.hasAlpha == (facts["alpha"] as? Bool ?? false), "\(name)")
            if !decoded.hasAlpha { #expect(decoded.overWhite == decoded.rgb, "\(name)") }
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
