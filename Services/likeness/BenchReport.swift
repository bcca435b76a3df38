import Foundation
import TensorEngine

/// The figures of one benchmark.
struct BenchReport: Codable {
    /// What was measured.
    struct Subject: Codable, Equatable {
        var name: String
        var config: String
        var parameters: Int
        var pixels: Int
        var batch: Int
        /// How they are kept; nil stands for f32.
        var weights: String?
        /// What is rounded before products; nil stands for nothing.
        var precision: String?
    }
    struct Operation: Codable {
        var kind: String
        var seconds: Double
        var calls: Int
        /// Of the sums as they are written down: Winograd's convolutions do fewer operations.
        var gigaflopsPerSecond: Double
    }
    var subject: Subject
    var threads: Int
    var instructionSet: String
    /// The first pass, which packs weights and compiles primitives.
    var firstSeconds: Double
    /// The median.
    var seconds: Double
    var fastest: Double
    var slowest: Double
    /// Pages that the system had to give, or give again, in a counted pass: memory that was not used over.
    var pageFaults: Int?
    var gigaflops: Double
    var gigaflopsPerSecond: Double
    /// What the machine reaches in registers.
    var peakGigaflopsPerSecond: Double
    var peakMemoryGB: Double
    /// Relative root mean square of what rounding before products changes; nil where nothing is rounded.
    var roundingError: Double?
    var operations: [Operation]

    init(
        _ subject: Subject, first: Double, counted: [Double], faults: Int, totals: [Profile.Kind: Profile.Total],
        peak: Double, error: Double? = nil
    ) {
        roundingError = error
        pageFaults = faults
        self.subject = subject
        (threads, instructionSet) = (Threads.count, Threads.instructionSet)
        firstSeconds = first
        (seconds, fastest, slowest) = (counted[counted.count / 2], counted[0], counted[counted.count - 1])
        gigaflops = totals.values.reduce(0) { $0 + $1.flops } * 1e-9
        gigaflopsPerSecond = gigaflops / seconds
        peakGigaflopsPerSecond = peak * 1e-9
        peakMemoryGB = BenchCommand.peakMemoryGB()
        operations = totals.map {
            Operation(
                kind: $0.key.rawValue, seconds: $0.value.seconds, calls: $0.value.calls,
                gigaflopsPerSecond: $0.value.flops * 1e-9 / max($0.value.seconds, 1e-9))
        }.sorted { $0.seconds > $1.seconds }
    }

    static func json(_ reports: [BenchReport]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(reports), as: UTF8.self)
    }

    static func read(_ data: Data) throws -> [BenchReport] { try JSONDecoder().decode([BenchReport].self, from: data) }

    private var title: String {
        "\(subject.name) \(subject.config), \(subject.pixels)×\(subject.pixels), batch \(subject.batch)"
    }

    var text: String {
        var lines = [
            String(
                format: "%@: %.1f M parameters, %@, %d threads, %@", title as NSString,
                Double(subject.parameters) / 1e6, (subject.weights ?? "f32") as NSString, threads,
                instructionSet as NSString) + (subject.precision.map { ", products in \($0)" } ?? ""),
            String(
                format: "%.3f s (median; %.3f … %.3f; the first pass %.3f), peak memory %.2f GB, %d page faults a pass",
                seconds, fastest, slowest, firstSeconds, peakMemoryGB, pageFaults ?? 0),
            String(
                format: "%.0f GFLOP, %.0f GFLOP/s, %.2f of this machine's %.0f", gigaflops, gigaflopsPerSecond,
                gigaflopsPerSecond / peakGigaflopsPerSecond, peakGigaflopsPerSecond),
        ]
        if let roundingError {
            lines.append(String(format: "relative RMS error against f32: %.2f %%", roundingError * 100))
        }
        for operation in operations {
            lines.append(
                String(
                    format: "  %-14@ %8.3f s %6d calls %8.0f GFLOP/s", operation.kind as NSString, operation.seconds,
                    operation.calls, operation.gigaflopsPerSecond))
        }
        return lines.joined(separator: "\n")
    }

    /// A line with the ratio to the report of the same thing among `before`.
    func compared(with before: [BenchReport]) -> String {
        guard let old = before.first(where: { $0.subject == subject && $0.threads == threads }) else {
            return "\(title): not in the baseline with \(threads) threads"
        }
        return String(
            format: "%@: %.3f s, was %.3f s: %.2f times; memory %.2f GB, was %.2f GB", title as NSString, seconds,
            old.seconds, seconds / old.seconds, peakMemoryGB, old.peakMemoryGB)
    }
}
