import ArgumentParser
import Checkpoint
import Diffusion
import Foundation
import IPAdapter
import TensorEngine
import Training

extension BenchCommand {
    /// `likeness bench train-step`: one update of IP-Adapter with random weights.
    struct TrainStep: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "train-step",
            abstract: "Times an update of IP-Adapter at Stable Diffusion 1.5's size: forward, backward, AdamW.",
            discussion: "The UNet is frozen; W'k, W'v and the projection are trained. Layers are computed again in the "
                + "backward pass (gradient checkpointing) unless told otherwise.")

        @Option(help: "Side of the picture in pixels, a multiple of 64.")
        var size = 512

        @Option(help: "Pictures in a batch.")
        var batch = 1

        @Option(help: "Counted updates, after one that is not.")
        var repeats = 3

        @Option(help: "Threads; 0 stands for all cores.")
        var threads = 0

        @Flag(help: "Keep everything for the backward pass.")
        var withoutCheckpointing = false

        @Flag(help: "Print JSON.")
        var json = false

        mutating func validate() throws {
            guard batch > 0, repeats > 0 else { throw ValidationError("--batch and --repeats must be at least 1") }
            guard size >= 64, size % 64 == 0 else {
                throw ValidationError("--size \(size): must be a multiple of 64, at least 64")
            }
        }

        func run() throws {
            Threads.use(threads)
            let config = UNetConfig.sd15
            var unet = try UNet2DConditionModel(Weights(RandomWeights(seed: 0)), config)
            unet.gradientCheckpointing = !withoutCheckpointing
            let trained = ParameterSet(RandomWeights(seed: 1))
            let adapter = try IPAdapterModel(Weights(trained), for: unet, embeddingWidth: 1024, tokens: 4)
            let optimizer = AdamW(trained.parameters, OptimizerSettings(learningRate: 1e-4))
            let side = size / 8
            func normal(_ seed: UInt64, _ shape: [Int]) -> Tensor {
                Tensor(Philox(seed: seed).normal(shape.reduce(1, *)), shape: shape)
            }
            let latents = normal(2, [batch, side, side, 4])
            let noise = normal(3, [batch, side, side, 4])
            let text = normal(4, [batch, 77, config.crossAttentionDim])
            let embeddings = normal(5, [batch, 1, 1024])

            func update() -> (seconds: Double, loss: Double) {
                let start = ContinuousClock.now
                let tokens = adapter.projection(embeddings)
                let conditioning = unet.conditioning(text, adapter: adapter.conditioned(on: tokens, scale: 1))
                let prediction = unet(latents, timesteps: Array(repeating: 500, count: batch), conditioning)
                let loss = DiffusionLoss.meanSquaredError(prediction, noise)
                let value = Double(loss.scalars[0])
                optimizer.update([loss.gradients()])
                return (start.duration(to: .now) / .seconds(1), value)
            }
            let first = update()
            let rest = (0..<repeats).map { _ in update() }
            let seconds = rest.map(\.seconds).sorted()
            let report = Report(
                pixels: size, batch: batch, threads: Threads.count, instructionSet: Threads.instructionSet,
                trainedParameters: trained.parameters.values.reduce(0) { $0 + $1.count },
                gradientCheckpointing: !withoutCheckpointing, secondsPerStep: seconds[seconds.count / 2],
                fastest: seconds[0], slowest: seconds[seconds.count - 1], losses: [first.loss] + rest.map(\.loss),
                peakMemoryGB: BenchCommand.peakMemoryGB())
            if json {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.sortedKeys]
                encoder.keyEncodingStrategy = .convertToSnakeCase
                print(String(decoding: try encoder.encode(report), as: UTF8.self))
            } else {
                print(report.text)
            }
        }

        /// The figures.
        struct Report: Encodable {
            var pixels: Int
            var batch: Int
            var threads: Int
            var instructionSet: String
            var trainedParameters: Int
            var gradientCheckpointing: Bool
            /// The median.
            var secondsPerStep: Double
            var fastest: Double
            var slowest: Double
            var losses: [Double]
            var peakMemoryGB: Double

            var text: String {
                String(
                    format: "IP-Adapter on SD 1.5, %d×%d, batch %d, f32, %d threads, %@, %.1f M trained parameters%@\n"
                        + "%.1f s an update (median; %.1f … %.1f), peak memory %.2f GB\nlosses %@", pixels, pixels,
                    batch,
                    threads, instructionSet as NSString, Double(trainedParameters) / 1e6,
                    (gradientCheckpointing ? ", gradient checkpointing" : "") as NSString, secondsPerStep, fastest,
                    slowest, peakMemoryGB,
                    losses.map { String(format: "%.4f", $0) }.joined(separator: " ") as NSString)
            }
        }
    }
}
