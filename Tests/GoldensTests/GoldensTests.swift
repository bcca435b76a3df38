import Foundation
import Goldens
import TestSupport
import Testing

@Suite struct GoldensTests {
    @Test(
        .enabled(if: GoldenFiles.areThere, Comment(rawValue: GoldenFiles.areMissing)),
        arguments: [
            "aggregation", "clip_text", "clip_tokenizer", "clip_vision", "images", "inception_formula", "ip_adapter",
            "lora",
            "metrics", "pipeline", "schedulers", "training_dreambooth", "training_ip", "unet", "vae",
        ])
    func passes(name: String) {
        let report = GoldenSuite.run(case: GoldenFiles.folder.appendingPathComponent(name))
        #expect(report.outcome == .pass, "\(report.line)")
    }

    @Test func aFolderThatIsNoCaseFails() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        #expect(GoldenSuite.run(case: folder).outcome == .fail)
        #expect(throws: (any Error).self) { try GoldenSuite.run(folder) { _ in } }
    }
}
