import ArgumentParser
import Checkpoint
import Foundation
import ModelFolder
import RenderedPeople
import Training

/// `likeness train ip-adapter` and `likeness train self-attention`: the paper's two trainings that leave Stable Diffusion
/// as it is, on any model folder and any data set in LFW's layout.
struct TrainAdapterOptions: ParsableArguments {
    @OptionGroup var place: ModelPlace

    @Option(help: "Data set in LFW's layout: a folder for each person, captions.jsonl beside them.")
    var people: String

    @Option(help: "Folder of the run's state and log; the same command goes on where it was stopped.")
    var work = "likeness-training"

    @Option(help: "Where the weights go; unless given, where services look for them in the model's folder.")
    var out: String?

    @Option(help: "Updates.") var steps = 1000
    @Option(help: "Pictures in a batch.") var batchSize = 1
    @Option(help: "Batches of an update, which are computed at the same time.") var gradientAccumulationSteps = 2
    @Option(help: "Updates between two states on disk.") var checkpointingSteps = 100
    @Option(help: "Learning rate after warm-up.") var learningRate: Float = 1e-4
    @Option(help: "Updates of warm-up.") var lrWarmupSteps = 0
    @Option(help: "Seed of the split by person, the initial weights and the batches.") var seed: UInt64 = 1
    @Option(help: "Side of the pictures in pixels; what the UNet was made for unless given.") var side: Int?

    @Option(
        help: "How time steps are drawn: uniform, or cubic, mostly those of much noise: looks are learnt sooner.",
        transform: { name in
            guard let sampling = TimestepSampling(rawValue: name) else {
                throw ValidationError("'\(name)': choose uniform or cubic")
            }
            return sampling
        })
    var timestepSampling = TimestepSampling.uniform

    @Flag(help: "Keep everything for the backward pass: faster, more memory.") var withoutCheckpointing = false
    @Flag(help: "Train on everyone; nobody is held out for `likeness compare`.") var allPeople = false

    func validate() throws {
        guard steps >= 1, batchSize >= 1, gradientAccumulationSteps >= 1, checkpointingSteps >= 1, lrWarmupSteps >= 0
        else {
            throw ValidationError("steps, batch size, accumulation and checkpointing must be at least 1, warm-up 0")
        }
        guard learningRate > 0, learningRate.isFinite else {
            throw ValidationError("--learning-rate \(learningRate): must be above 0")
        }
    }

    /// Trains, and writes the weights as f32.
    func run(_ kind: AdapterTraining.Kind, _ change: (inout AdapterTrainingSettings) -> Void = { _ in }) throws {
        var settings = AdapterTrainingSettings()
        (settings.batchSize, settings.seed, settings.side) = (batchSize, seed, side)
        settings.gradientCheckpointing = !withoutCheckpointing
        settings.timestepSampling = timestepSampling
        change(&settings)
        let home = URL(fileURLWithPath: work)
        let lock = try FolderLock.hold(home)
        defer { withExtendedLifetime(lock) {} }
        let folder = try place.open(adapterRequired: kind == .selfAttention)
        let training = AdapterTraining(folder, settings)
        let file = out.map { URL(fileURLWithPath: $0) } ?? training.place(of: kind)
        guard !FileManager.default.fileExists(atPath: file.path) else {
            throw UserError("\(file.path): exists", remedy: "name another file with --out, or move it away")
        }
        let chosen =
            allPeople
            ? try FaceDataset.load(URL(fileURLWithPath: people)).people
            : try PeopleSplit(URL(fileURLWithPath: people), seed: seed).training
        var optimizer = OptimizerSettings(learningRate: learningRate)
        (optimizer.gradientAccumulationSteps, optimizer.lrWarmupSteps) = (gradientAccumulationSteps, lrWarmupSteps)
        var loop = TrainingLoop(
            name: kind.rawValue, optimizer: optimizer, steps: steps, folder: home,
            fingerprint: try training.fingerprint(kind, chosen, optimizer))
        (loop.checkpointingSteps, loop.loggingSteps) = (checkpointingSteps, 5)
        print("\(chosen.count) people to train with; photos and captions are encoded first")
        let progress = TrainingLines(kind.rawValue)
        switch kind {
        case .ipAdapter:
            try SafetensorsWriter.write(
                training.adapter(chosen, loop, say: { print($0) }, report: progress.print), to: file)
        case .selfAttention:
            let (tensors, metadata) = try training.selfAttention(
                chosen, loop, say: { print($0) }, report: progress.print)
            try SafetensorsWriter.write(tensors, metadata: metadata, to: file)
        }
        print("wrote \(file.path)")
    }
}

extension TrainCommand {
    /// `likeness train ip-adapter`
    struct IPAdapter: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ip-adapter",
            abstract: "Trains an IP-Adapter for a model: image projection, W'k, W'v; the rest stays as it is.")
        @OptionGroup var options: TrainAdapterOptions

        func run() throws { try options.run(.ipAdapter) }
    }

    /// `likeness train self-attention`
    struct SelfAttention: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "self-attention",
            abstract: "Trains the paper's self-attention over nine photos, from a model's IP-Adapter.")
        @OptionGroup var options: TrainAdapterOptions

        @Option(help: "What is read of it: self-attention, self-attention-max or self-attention-avg.")
        var readout = "self-attention"

        @Option(help: "Heads of the self-attention.") var heads = 8

        func run() throws {
            try options.run(.selfAttention) { ($0.readout, $0.heads) = (readout, heads) }
        }
    }
}
