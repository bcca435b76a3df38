import ArgumentParser
import Foundation
import Goldens
import TensorEngine

/// `likeness verify-goldens DIR`: the engine against references made by the original libraries.
struct VerifyGoldensCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify-goldens",
        abstract: "Compares the engine with golden references of PyTorch, diffusers, transformers and Pillow.",
        discussion: """
            Prints a line for each case folder: its name, pass, fail or 'not yet' (no code for it here), the tensor \
            nearest to its tolerance, and its error against that. Exit status 1 if any case fails.
            """)

    @Argument(help: "The folder of case folders.", completion: .directory)
    var folder: String

    @Option(
        help: "f32, or bf16: drawing rounds before products, and is compared by a looser tolerance.",
        transform: precisionNamed)
    var precision = Precision.f32

    func run() throws {
        var failed = 0
        do {
            try GoldenSuite.run(URL(fileURLWithPath: folder), precision: precision) { report in
                print(report.line)
                if report.outcome == .fail { failed += 1 }
            }
        } catch {
            throw UserError("\(error)", remedy: "name a folder of golden cases, such as ../shared/goldens")
        }
        if failed > 0 { throw ExitCode.failure }
    }
}
