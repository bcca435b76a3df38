import ArgumentParser
import Checkpoint
import Diffusion
import Foundation
import ModelFolder
import TensorEngine

extension BenchCommand {
    /// `likeness bench memory`: what a model's UNet takes, and what a second process shares with the first.
    struct Memory: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "memory",
            abstract:
                "Shows what a model folder's UNet takes of memory, mapped and its own, in one process and in two.",
            discussion:
                "Mapped weights are pages of the file: all processes share them, and the system can take them back.")

        @OptionGroup var place: ModelPlace

        @Option(help: "Side of the picture in pixels; the model's own size unless given.")
        var size: Int?

        @Flag(help: .hidden)
        var second = false

        mutating func validate() throws {
            if let size, size < 64 || size % 64 != 0 {
                throw ValidationError("--size \(size): must be a multiple of 64, at least 64")
            }
        }

        func run() throws {
            let folder = try place.open()
            if !second { try describe(folder) }
            try report("started")
            let start = ContinuousClock.now
            let unet = try folder.unet()
            try report("UNet loaded", seconds: start.duration(to: .now) / .seconds(1))
            // As the sampler does: the first pass plans where the second one's activations are.
            let activations = ActivationArena()
            for number in 1...3 {
                let start = ContinuousClock.now
                activations { pass(unet) }
                try report("pass \(number)", seconds: start.duration(to: .now) / .seconds(1))
            }
            if second {
                print(Self.ready)
                fflush(nil)
                while readLine() != nil {}
            } else {
                try withSecond { second in
                    try report("both run", second: second)
                }
            }
            // Alive until it has been measured.
            withExtendedLifetime(unet) {}
        }

        private static let ready = "ready"

        /// How much there is, and how much of it convolutions keep in an order of their own.
        private func describe(_ folder: PipelineFolder) throws {
            let source = try folder.unetSource()
            let shapes = source.names.compactMap { source.shape(of: $0) }
            func megabytes(_ shapes: [[Int]]) -> Double { shapes.reduce(0) { $0 + Double($1.reduce(4, *)) } / 1e6 }
            let packed = shapes.filter { $0.count == 4 && $0[2] > 1 }
            print("\(source)")
            print(
                String(
                    format: "%.1f million parameters, %.0f MB as f32, of which 3x3 convolutions %.0f MB",
                    megabytes(shapes) / 4, megabytes(shapes), megabytes(packed)))
            print("process  stage             own MB  mapped MB  peak MB  share MB  seconds")
        }

        private func report(_ stage: String, seconds: Double? = nil) throws {
            line(second ? "second" : "first", stage, try ResidentMemory(), seconds)
        }

        /// This process and another one, both at rest.
        private func report(_ stage: String, second: Int32) throws {
            let (one, two) = (try ResidentMemory(), try ResidentMemory(of: String(second)))
            line("first", stage, one)
            line("second", stage, two)
            print(
                String(
                    format: "together %.0f MB; the second adds %.0f MB, and shares %.0f MB of mapped files",
                    one.proportional + two.proportional, two.own, two.shared))
        }

        private func line(_ process: String, _ stage: String, _ memory: ResidentMemory, _ seconds: Double? = nil) {
            print(
                String(
                    format: "%-8@ %-16@ %7.0f %10.0f %8.0f %9.0f  %@", process as NSString, stage as NSString,
                    memory.own, memory.mapped, memory.peak, memory.proportional,
                    (seconds.map { String(format: "%.1f", $0) } ?? "") as NSString))
            fflush(nil)
        }

        /// Runs this command again beside this process, and lets it end after `body`.
        private func withSecond(_ body: (Int32) throws -> Void) throws {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            process.arguments = Array(CommandLine.arguments.dropFirst()) + ["--second"]
            let (input, output) = (Pipe(), Pipe())
            (process.standardInput, process.standardOutput) = (input, output)
            try process.run()
            defer {
                try? input.fileHandleForWriting.close()
                process.waitUntilExit()
            }
            var text = ""
            while !text.hasSuffix(Self.ready + "\n") {
                let data = output.fileHandleForReading.availableData
                guard !data.isEmpty else {
                    throw UserError("the second process has ended early", remedy: "look at its error above")
                }
                text += String(decoding: data, as: UTF8.self)
            }
            print(text.dropLast(Self.ready.count + 1), terminator: "")
            try body(process.processIdentifier)
        }

        private func pass(_ unet: UNet2DConditionModel) {
            let config = unet.config
            let side = size.map { $0 / 8 } ?? config.sampleSize
            let text = Tensor(
                Philox(seed: 1).normal(2 * 77 * config.crossAttentionDim), shape: [2, 77, config.crossAttentionDim])
            let latent = Sampler.noise(seed: 2, channels: 2 * config.inChannels, height: side, width: side)
            _ = unet(
                latent.reshaped([2, side, side, config.inChannels]), timesteps: [500, 500], unet.conditioning(text))
        }
    }
}
