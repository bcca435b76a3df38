import ArgumentParser
import Checkpoint
import Diffusion
import Foundation
import Study
import TensorEngine

/// `likeness bench`: speed and memory of the engine, as figures of this machine.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures the engine on this machine, with random weights at real sizes.",
        subcommands: [
            UNet.self, VAE.self, CLIPImage.self, CLIPText.self, Picture.self, TrainStep.self, Memory.self,
        ])

    /// Options of every benchmark.
    struct Options: ParsableArguments {
        @Option(help: "Counted passes, after one that is not.")
        var repeats = 3

        @Option(help: "Threads; 0 stands for all cores.")
        var threads = 0

        @Flag(help: "Print JSON: a list of reports.")
        var json = false

        @Option(help: "JSON that a benchmark printed before; prints the ratios to it.")
        var compare: String?

        mutating func validate() throws {
            guard repeats > 0 else { throw ValidationError("--repeats must be at least 1") }
            _ = try baseline()
        }

        /// The reports to compare with; read before anything is measured.
        private func baseline() throws -> [BenchReport]? {
            guard let compare else { return nil }
            guard let data = FileManager.default.contents(atPath: compare) else {
                throw ValidationError("--compare \(compare): cannot be read")
            }
            do {
                return try BenchReport.read(data)
            } catch {
                throw ValidationError("--compare \(compare): not what a benchmark prints with --json (\(error))")
            }
        }

        /// Runs `pass` once without counting (weights are packed, primitives compiled), then as often as asked.
        func measure(_ subject: BenchReport.Subject, _ pass: () throws -> Void) throws -> BenchReport {
            func seconds() throws -> Double {
                let start = ContinuousClock.now
                try pass()
                return start.duration(to: .now) / .seconds(1)
            }
            let first = try seconds()
            let before = BenchCommand.usage().ru_minflt
            let counted = try (0..<repeats).map { _ in try seconds() }.sorted()
            let faults = (BenchCommand.usage().ru_minflt - before) / repeats
            let totals = try Profile.of { try pass() }.totals
            return BenchReport(
                subject, first: first, counted: counted, faults: faults, totals: totals,
                peak: Threads.peakOperationsPerSecond())
        }

        /// Prints the reports as asked.
        func show(_ reports: [BenchReport]) throws {
            print(try json ? BenchReport.json(reports) : reports.map(\.text).joined(separator: "\n"))
            guard let before = try baseline() else { return }
            for report in reports { print(report.compared(with: before)) }
        }
    }

    /// The option of those that take several inputs at once.
    struct BatchOption: ParsableArguments {
        @Option(help: "Rows of a pass (latents, photos, prompts); as many as the abstract says unless given.")
        var batch: Int?

        mutating func validate() throws {
            if let batch, batch < 1 { throw ValidationError("--batch must be at least 1") }
        }
    }

    /// `likeness bench unet`: one denoising step.
    struct UNet: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "unet", abstract: "Times a pass of two rows through the UNet.",
            discussion: "All rows are computed, as for different latents, unless --guided is given.")

        enum Size: String, ExpressibleByArgument, CaseIterable {
            case sd15, miniature
        }

        @Option(help: "Model size: \(Size.allCases.map(\.rawValue).joined(separator: ", ")).")
        var config = Size.sd15

        @Option(
            parsing: .upToNextOption,
            help:
                "Sides of the picture in pixels, one or more; multiples of 64. 512 unless given, 128 for the miniature."
        )
        var sizes: [Int] = []

        @Option(help: "SVG file to write: seconds of a pass against the side of the picture, with several --sizes.")
        var plot: String?

        @Option(help: "How weights are kept: f32, f16, bf16. Sums are always f32.")
        var weights = WeightFormat.f32

        @Flag(
            help: "One latent under all the rows' texts, as a step with guidance has it: what it shares is done once.")
        var guided = false

        @OptionGroup var rows: BatchOption
        @OptionGroup var options: Options

        mutating func validate() throws {
            for size in sizes where size < 64 || size % 64 != 0 {
                throw ValidationError("--sizes \(size): must be a multiple of 64, at least 64")
            }
            guard plot == nil || sizes.count > 1 else { throw ValidationError("--plot needs several --sizes") }
        }

        func run() throws {
            Threads.use(options.threads)
            let batch = rows.batch ?? 2  // as guidance needs
            let shape =
                config == .sd15
                ? UNetConfig.sd15
                : UNetConfig(
                    sampleSize: 16, blockOutChannels: [32, 64, 96], crossAttentionDim: 64, heads: 4, normNumGroups: 8)
            let half = weights.half
            let weights = RandomWeights(seed: 0, format: half)
            let unet = try UNet2DConditionModel(Weights(weights), shape)
            let text = BenchCommand.normal(1, [batch, 77, shape.crossAttentionDim])
            let conditioning = unet.conditioning(text)
            let activations = ActivationArena()
            let reports = try (sizes.isEmpty ? [shape.sampleSize * 8] : sizes).map { pixels in
                let latents = guided ? 1 : batch
                let latent = BenchCommand.normal(2, [latents, pixels / 8, pixels / 8, 4])
                return try options.measure(
                    .init(
                        name: guided ? "guided unet" : "unet", config: config.rawValue, parameters: weights.parameters,
                        pixels: pixels,
                        batch: batch, weights: half?.rawValue)
                ) {
                    _ = activations(latent.shape) {
                        unet(latent, timesteps: Array(repeating: 500, count: latents), conditioning)
                    }
                }
            }
            try options.show(reports)
            if let plot { try draw(reports).write(toFile: plot, atomically: true, encoding: .utf8) }
        }

        private func draw(_ reports: [BenchReport]) -> String {
            let points = reports.map {
                LinePlot.Point(x: Double($0.subject.pixels), y: $0.seconds, low: $0.fastest, high: $0.slowest)
            }
            let name = "\(weights.rawValue) weights, \(reports[0].threads) threads, \(reports[0].instructionSet)"
            return LinePlot(
                title: "A pass of \(reports[0].subject.batch) rows through the UNet (\(config.rawValue))",
                xLabel: "side of the picture in pixels", yLabel: "seconds",
                series: [.init(name: name, points: points)]
            ).svg
        }
    }

    /// How a benchmark's weights are kept.
    enum WeightFormat: String, ExpressibleByArgument, CaseIterable {
        case f32, f16, bf16

        var half: HalfFormat? { HalfFormat(rawValue: rawValue) }
    }

    /// Standard normal numbers.
    static func normal(_ seed: UInt64, _ shape: [Int]) -> Tensor {
        Tensor(Philox(seed: seed).normal(shape.reduce(1, *)), shape: shape)
    }

    /// What this process has used so far.
    static func usage() -> rusage {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage
    }

    static func peakMemoryGB() -> Double { Double(usage().ru_maxrss) * 1024 / 1e9 }
}

extension RandomWeights {
    /// How many numbers were asked for.
    var parameters: Int { shapes.values.reduce(0) { $0 + $1.reduce(1, *) } }
}
