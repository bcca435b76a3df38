import Foundation
import TensorEngine
import TestSupport
import Testing

/// Every kernel is compiled for several instruction sets; a machine uses the best it has, and here its lesser ones too.
@Suite(.enabled(if: GoldenFiles.areThere, Comment(rawValue: GoldenFiles.areMissing)))
struct InstructionSetTests {
    @Test(arguments: ["baseline", "avx2", "avx512", "avx512bf16", "amx"])
    func agreesWithTheGoldens(set: String) async throws { try await verify(set, "f32") }

    @Test(.enabled(if: Precision.hasBF16, "this machine multiplies no bfloat16"), arguments: ["avx512bf16", "amx"])
    func roundsWithinTheirTolerance(set: String) async throws { try await verify(set, "bf16") }

    private func verify(_ set: String, _ precision: String) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: uniqueName("goldens"))
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Attention, linear layers, convolutions, norms; the last also their gradients, with what the others hold.
        let cases = ["unet", "ip_adapter", "aggregation", "schedulers", "training_ip"]
        for name in cases {
            try FileManager.default.createSymbolicLink(
                at: folder.appending(path: name), withDestinationURL: GoldenFiles.folder.appending(path: name))
        }
        let said = try await runCommand(
            [Stack.executable("likeness").path, "verify-goldens", folder.path, "--precision", precision],
            environment: ["LIKENESS_CPU": set])
        #expect(said.matches(of: /pass/).count == cases.count, "\(said)")
    }
}
