import Foundation
import TestSupport
import Testing

/// Every kernel is compiled for several instruction sets; a machine uses the best it has, and here its lesser ones too.
@Suite struct InstructionSetTests {
    @Test(
        .enabled(if: GoldenFiles.areThere, Comment(rawValue: GoldenFiles.areMissing)),
        arguments: ["baseline", "avx2", "avx512", "avx512bf16", "amx"], ["f32", "bf16"])
    func agreesWithTheGoldens(set: String, precision: String) async throws {
        // Attention, linear layers, convolutions, norms; with the last of these also their gradients.
        let folder = FileManager.default.temporaryDirectory.appending(path: uniqueName("goldens"))
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for name in ["unet", "ip_adapter", "training_ip"] {
            try FileManager.default.createSymbolicLink(
                at: folder.appending(path: name), withDestinationURL: GoldenFiles.folder.appending(path: name))
        }
        let said = try await runCommand(
            [Stack.executable("likeness").path, "verify-goldens", folder.path, "--precision", precision],
            environment: ["LIKENESS_CPU": set])
        #expect(said.matches(of: /pass/).count == 3, "\(said)")
    }
}
