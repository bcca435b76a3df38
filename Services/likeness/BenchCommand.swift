import ArgumentParser
import Checkpoint
import Diffusion
import Foundation
import TensorEngine

/// `likeness bench`: speed and memory of the engine, as figures of this machine.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures the engine on this machine.",
        subcommands: [UNet.self, TrainStep.self, Memory.self])

    /// `likeness bench unet`: one denoising step with random weights.
    struct UNet: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "unet", abstract: "Times a pass through the UNet with random weights.")

        enum Size: String, ExpressibleByArgument, CaseIterable {
            case sd15, miniature
        }

        @Option(help: "Model size: \(Size.allCases.map(\.rawValue).joined(separator: ", ")).")
        var config = Size.sd15

        @Option(help: "Side of the picture in pixels (eight for each latent).")
        var size: Int?

        @Option(help: "Rows of a pass; guidance needs two.")
        var batch = 2

        @Option(help: "Counted passes, after one that is not.")
        var repeats = 3

        @Option(help: "Threads; 0 stands for all cores.")
        var threads = 0

        @Flag(help: "Print JSON.")
        var json = false

        mutating func validate() throws {
            guard batch > 0, repeats > 0 else { throw ValidationError("--batch and --repeats must be at least 1") }
            if let size, size < 64 || size % 64 != 0 {
                throw ValidationError("--size \(size): must be a multiple of 64, at least 64")
            }
        }

        func run() throws {
            Threads.use(threads)
            let shape =
                config == .sd15
                ? UNetConfig.sd15
                : UNetConfig(
                    sampleSize: 16, blockOutChannels: [32, 64, 96], crossAttentionDim: 64, heads: 4, normNumGroups: 8)
            let side = size.map { $0 / 8 } ?? shape.sampleSize
            let weights = RandomWeights(seed: 0)
            let unet = try UNet2DConditionModel(Weights(weights), shape)
            let parameters = weights.shapes.values.reduce(0) { $0 + $1.reduce(1, *) }
            let text = Tensor(
                Philox(seed: 1).normal(batch * 77 * shape.crossAttentionDim),
                shape: [batch, 77, shape.crossAttentionDim])
            let conditioning = unet.conditioning(text)
            let latent = Sampler.noise(seed: 2, channels: 4 * batch, height: side, width: side)
                .reshaped([batch, side, side, 4])

            func pass() -> Double {
                let start = ContinuousClock.now
                _ = unet(latent, timesteps: Array(repeating: 500, count: batch), conditioning)
                return start.duration(to: .now) / .seconds(1)
            }
            _ = pass()  // the first pass packs weights and compiles primitives
            let seconds = (0..<repeats).map { _ in pass() }.sorted()
            let (_, totals) = Profile.of { pass() }
            let flops = totals.values.reduce(0) { $0 + $1.flops }
            let report = Report(
                config: config.rawValue, parameters: parameters, pixels: side * 8, batch: batch, threads: Threads.count,
                instructionSet: Threads.instructionSet, secondsPerStep: seconds[seconds.count / 2],
                fastest: seconds[0], slowest: seconds[seconds.count - 1], gigaflops: flops * 1e-9,
                gigaflopsPerSecond: flops * 1e-9 / seconds[seconds.count / 2], peakMemoryGB: Self.peakMemoryGB(),
                operations: totals.map {
                    Report.Operation(
                        kind: $0.key.rawValue, seconds: $0.value.seconds, calls: $0.value.calls,
                        gigaflopsPerSecond: $0.value.flops * 1e-9 / max($0.value.seconds, 1e-9))
                }.sorted { $0.seconds > $1.seconds })
            print(try json ? report.json() : report.text())
        }

        static func peakMemoryGB() -> Double {
            var usage = rusage()
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            return Double(usage.ru_maxrss) * 1024 / 1e9
        }
    }

    /// The figures of one benchmark.
    struct Report: Encodable {
        struct Operation: Encodable {
            var kind: String
            var seconds: Double
            var calls: Int
            var gigaflopsPerSecond: Double
        }
        var config: String
        var parameters: Int
        var pixels: Int
        var batch: Int
        var threads: Int
        var instructionSet: String
        /// The median.
        var secondsPerStep: Double
        var fastest: Double
        var slowest: Double
        var gigaflops: Double
        var gigaflopsPerSecond: Double
        var peakMemoryGB: Double
        var operations: [Operation]

        func json() throws -> String {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            encoder.keyEncodingStrategy = .convertToSnakeCase
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }

        func text() -> String {
            var lines = [
                String(
                    format: "UNet %@: %.1f M parameters, %d×%d, batch %d, f32, %d threads, %@", config as NSString,
                    Double(parameters) / 1e6, pixels, pixels, batch, threads, instructionSet as NSString),
                String(
                    format: "%.2f s a step (median; %.2f … %.2f), %.0f GFLOP, %.0f GFLOP/s, peak memory %.2f GB",
                    secondsPerStep, fastest, slowest, gigaflops, gigaflopsPerSecond, peakMemoryGB),
            ]
            for operation in operations {
                lines.append(
                    String(
                        format: "  %-14@ %8.3f s %6d calls %8.0f GFLOP/s", operation.kind as NSString,
                        operation.seconds, operation.calls, operation.gigaflopsPerSecond))
            }
            return lines.joined(separator: "\n")
        }
    }
}
