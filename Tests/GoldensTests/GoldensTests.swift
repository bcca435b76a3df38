import Foundation
import Goldens
import Testing

/// The folder of golden references: LIKENESS_GOLDENS, or beside the repository.
private let goldens = URL(
    fileURLWithPath: ProcessInfo.processInfo.environment["LIKENESS_GOLDENS"] ?? "../shared/goldens")

@Suite struct GoldensTests {
    @Test(
        .enabled(if: FileManager.default.fileExists(atPath: goldens.path), "no goldens at \(goldens.path)"),
        arguments: [
            "aggregation", "clip_text", "clip_tokenizer", "clip_vision", "images", "ip_adapter", "metrics", "pipeline",
            "schedulers", "unet", "vae",
        ])
    func passes(name: String) {
        let report = GoldenSuite.run(case: goldens.appendingPathComponent(name))
        #expect(report.outcome == .pass, "\(report.line)")
    }

    @Test func aFolderThatIsNoCaseFails() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        #expect(GoldenSuite.run(case: folder).outcome == .fail)
        #expect(throws: (any Error).self) { try GoldenSuite.run(folder) { _ in } }
    }
}
