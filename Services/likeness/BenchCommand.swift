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

        @Option(
            help: "What numbers are rounded to before they are multiplied: f32 (not at all) or bf16. Sums are f32.",
            transform: precisionNamed)
        var precision = Precision.f32

        @Option(help: "How weights are kept: f32, f16, bf16.")
        var weights = WeightFormat.f32

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

        /// Makes the engine compute as asked.
        func prepare() {
            Threads.use(threads)
            Precision.use(precision)
        }

        /// Runs `pass` once without counting (weights are packed, primitives compiled), then as often as asked; where
        /// products are rounded, once more without that, to say how far its result lies off.
        func measure(_ subject: BenchReport.Subject, _ pass: () throws -> Tensor) throws -> BenchReport {
            func seconds() throws -> Double {
                let start = ContinuousClock.now
                _ = try pass()
                return start.duration(to: .now) / .seconds(1)
            }
            let first = try seconds()
            let before = BenchCommand.usage().ru_minflt
            let counted = try (0..<repeats).map { _ in try seconds() }.sorted()
            let faults = (BenchCommand.usage().ru_minflt - before) / repeats
            let totals = try Profile.of { _ = try pass() }.totals
            var subject = subject
            subject.precision = precision == .f32 ? nil : precision.rawValue
            subject.weights = weights.half?.rawValue
            return BenchReport(
                subject, first: first, counted: counted, faults: faults, totals: totals,
                peak: Threads.peakOperationsPerSecond(), error: try roundingError(pass))
        }

        /// Root of the mean square of what rounding changes, by that of the result.
        private func roundingError(_ pass: () throws -> Tensor) throws -> Double? {
            guard precision != .f32 else { return nil }
            let rounded = try pass().scalars
            let exact = try Precision.with(.f32) { try pass().scalars }
            var (difference, size) = (0.0, 0.0)
            for (x, y) in zip(rounded, exact) {
                difference += Double(x - y) * Double(x - y)
                size += Double(y) * Double(y)
            }
            return (difference / size).squareRoot()
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
            options.prepare()
            let batch = rows.batch ?? 2  // as guidance needs
            let shape =
                config == .sd15
                ? UNetConfig.sd15
                : UNetConfig(
                    sampleSize: 16, blockOutChannels: [32, 64, 96], crossAttentionDim: 64, heads: 4, normNumGroups: 8)
            let weights = RandomWeights(seed: 0, format: options.weights.half)
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
                        pixels: pixels, batch: batch)
                ) {
                    activations(latent.shape) {
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
            let name =
                "\(options.weights.rawValue) weights, \(reports[0].threads) threads, \(reports[0].instructionSet)"
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

/// What `--precision` names.
func precisionNamed(_ name: String) throws -> Precision {
    guard let precision = Precision(rawValue: name) else { throw ValidationError("'\(name)': choose f32 or bf16") }
    guard precision == .f32 || Precision.hasBF16 else {
        throw ValidationError(
            "'\(name)': this machine (\(Threads.instructionSet)) has neither AMX nor AVX-512 BF16; leave it at f32")
    }
    return precision
}
