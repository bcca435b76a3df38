internal import Checkpoint
public import Foundation
public import TensorEngine

/// What became of one case.
public struct GoldenReport: Sendable {
    /// Its result.
    public enum Outcome: String, Sendable {
        case pass
        case fail
        /// No code here proves this case yet.
        case notYet = "not yet"
    }

    /// The folder's name.
    public let name: String
    /// Pass, fail or not yet.
    public let outcome: Outcome
    /// The tensor nearest to (or furthest past) its tolerance, and its error against that; or what went wrong.
    public let detail: String

    /// One line: `<case> <outcome> <worst tensor> <error> / <tolerance>`.
    public var line: String {
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(width - text.count, 0))
        }
        return "\(padded(name, 20)) \(padded(outcome.rawValue, 7)) \(detail)"
    }
}

/// Runs Likeness against golden references made by PyTorch, diffusers, transformers, torch-fidelity and Pillow.
public enum GoldenSuite {
    private typealias Check = @Sendable (GoldenCase, inout Comparison) throws -> Void

    private static let checks: [String: Check] = [
        "clip_tokenizer": checkTokenizer,
        "clip_text": checkText,
        "clip_vision": checkVision,
        "vae": checkVAE,
        "unet": checkUNet,
        "ip_adapter": checkIPAdapter,
        "aggregation": checkAggregation,
        "schedulers": checkSchedulers,
        "pipeline": checkPipeline,
        "metrics": checkMetrics,
        "inception_formula": checkInception,
        "images": checkImages,
        "lora": checkLoRA,
        "training_ip": checkTrainingIP,
        "training_dreambooth": checkTrainingDreamBooth,
    ]

    /// The cases of what draws pictures, which may round.
    private static let drawing: Set = [
        "clip_text", "clip_vision", "vae", "unet", "ip_adapter", "aggregation", "pipeline", "lora",
    ]

    /// Runs every case folder in `folder`, in name order.
    ///
    /// - Parameter precision: with `bf16` tensors are compared as a whole, by a looser tolerance; training and evaluation
    ///   never round, and their cases are run as with `f32`
    public static func run(_ folder: URL, precision: Precision = .f32, report: (GoldenReport) -> Void) throws {
        let entries = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        let cases = entries.filter {
            FileManager.default.fileExists(atPath: $0.appendingPathComponent("case.json").path)
        }
        guard !cases.isEmpty else {
            throw CheckpointError("\(folder.path): holds no folder with a case.json; is it a goldens folder?")
        }
        for url in cases.sorted(by: { $0.lastPathComponent < $1.lastPathComponent }) {
            report(run(case: url, precision: precision))
        }
    }

    /// Runs one case folder.
    public static func run(case url: URL, precision: Precision = .f32) -> GoldenReport {
        let name = url.lastPathComponent
        do {
            let golden = try GoldenCase(url)
            guard let check = checks[golden.kind] else {
                return GoldenReport(name: name, outcome: .notYet, detail: "no code for case \(golden.kind)")
            }
            let rounds = precision == .bf16 && drawing.contains(golden.kind)
            var comparison = Comparison(try golden.tolerance, rounded: rounds)
            try Precision.with(rounds ? .bf16 : .f32) { try check(golden, &comparison) }
            return GoldenReport(
                name: name, outcome: comparison.passed ? .pass : .fail, detail: describe(comparison))
        } catch {
            return GoldenReport(name: name, outcome: .fail, detail: "\(error)")
        }
    }

    private static func describe(_ comparison: Comparison) -> String {
        if let failure = comparison.failures.first {
            let more = comparison.failures.count > 1 ? " (and \(comparison.failures.count - 1) more)" : ""
            return failure + more
        }
        guard let worst = comparison.worst else { return "nothing was compared" }
        return String(
            format: "%@ %.2e / %.2e (%.3f of its tolerance; %d tensors)", worst.tensor as NSString, worst.error,
            worst.allowed, worst.ratio, comparison.compared)
    }
}
