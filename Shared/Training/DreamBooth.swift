internal import CLIP
internal import Checkpoint
internal import Crypto
public import Diffusion
public import Foundation
public import ImageIO
public import ModelFolder
internal import Prompts
public import TensorEngine

/// How a person's own UNet is made (Ruiz et al., arXiv 2208.12242; defaults for the miniature).
public struct DreamBoothSettings: Codable, Sendable, Equatable {
    /// A word that comes to mean the person.
    public var identifier = SubjectPrompt.identifier
    /// What the person is one of.
    public var classNoun = SubjectPrompt.classNoun
    /// Updates.
    public var maxTrainSteps = 200
    public var learningRate: Float = 2e-4
    /// Pictures in a batch, half of them of the person, half of the class; an update takes two batches.
    public var trainBatchSize = 4
    /// λ of the prior-preservation term (paper eq. 13).
    public var priorLossWeight: Float = 1
    /// Pictures of the class that the model itself makes first.
    public var numClassImages = 24
    /// Whether a photo that has a caption is shown with it, the identifier put in, rather than with "a sks person".
    public var usesCaptions = true
    /// How time steps are drawn.
    public var timestepSampling = TimestepSampling.cubic
    /// Rank of LoRA; nil trains the whole UNet.
    public var rank: Int?
    public var seed: UInt64 = 0

    /// Updates, learning rate and rank of LoRA training. An update takes half as long as one of the whole UNet.
    public var loraMaxTrainSteps = 200
    public var loraLearningRate: Float = 2e-3
    public var loraRank = 8

    /// For the miniature.
    public init() {}

    /// For a model of this kind: the miniature's, or for Stable Diffusion 1.5 those that diffusers' train_dreambooth and
    /// train_dreambooth_lora name for training on people.
    public init(for config: UNetConfig) {
        guard config.crossAttentionDim >= 768 else { return }
        (maxTrainSteps, learningRate, trainBatchSize, numClassImages) = (800, 2e-6, 2, 200)
        (loraMaxTrainSteps, loraLearningRate, loraRank) = (800, 1e-4, 4)
        (usesCaptions, timestepSampling) = (false, .uniform)
    }

    /// The same for low-rank changes only.
    public var lowRank: DreamBoothSettings {
        var settings = self
        (settings.rank, settings.maxTrainSteps, settings.learningRate) = (loraRank, loraMaxTrainSteps, loraLearningRate)
        return settings
    }

    /// The person in a prompt, or in a caption of a photo.
    public func prompt(for text: String) -> String {
        SubjectPrompt(text, identifier: identifier, classNoun: classNoun).text
    }
    /// The prompt that a photo of the person is shown with.
    public func instancePrompt(of caption: String?) -> String {
        guard usesCaptions, let caption else { return "a \(identifier) \(classNoun)" }
        return prompt(for: caption)
    }
    /// The prompt of the class pictures.
    public var classPrompt: String { "a \(classNoun)" }
}

/// Fine-tunes a model on one person's photos.
public struct DreamBooth: Sendable {
    let folder: PipelineFolder
    let settings: DreamBoothSettings

    /// With a model folder's UNet as the start.
    public init(_ folder: PipelineFolder, _ settings: DreamBoothSettings) {
        (self.folder, self.settings) = (folder, settings)
    }

    /// The class pictures: what the unchanged model draws for the class prompt. The same for every person, so they are
    /// made once and kept as PNG.
    ///
    /// - Parameter onPicture: told the number of each picture that has to be made
    public func classPictures(keptIn cache: URL, onPicture: (Int) throws -> Void = { _ in }) throws -> [RGBImage] {
        let home = cache.appendingPathComponent(String(try folder.pictureHash().prefix(16)))
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        var draw: ((Int) throws -> RGBImage)?
        return try (0..<settings.numClassImages).map { i in
            let file = home.appendingPathComponent("\(settings.classNoun)-\(settings.seed)-\(i).png")
            if let known = try? ImageFile.decode(Data(contentsOf: file)) { return known.rgb }
            try onPicture(i)
            let pipeline = try draw ?? classPicturePipeline()
            draw = pipeline
            let picture = try pipeline(i)
            try picture.pngData().write(to: file, options: .atomic)
            return picture
        }
    }

    private func classPicturePipeline() throws -> (Int) throws -> RGBImage {
        let pipeline = try PicturePipeline(folder, adapted: false)
        let (text, tokenizer) = (try folder.text(), try folder.tokenizer())
        let states = text([tokenizer(settings.classPrompt).ids, tokenizer("").ids]).lastHiddenState
        return { i in
            try pipeline(
                .init(steps: 20, guidanceScale: 2), seed: settings.seed &+ UInt64(i),
                .init(prompt: states[0], negativePrompt: states[1]))
        }
    }

    /// Trains from the last state in `state`, or from the start.
    ///
    /// - Parameters:
    ///   - photos: of the person, any sizes
    ///   - captions: of the photos, where they have one
    ///   - classPictures: see ``classPictures(onPicture:)``
    ///   - state: folder of the run's state and log
    /// - Returns: the whole UNet under its checkpoint keys, or LoRA's A and B under peft's
    public func train(
        _ photos: [RGBImage], captions: [String?], classPictures: [RGBImage], state: URL, name: String,
        report: (TrainingProgress) throws -> Void = { _ in }
    ) throws -> [String: Tensor] {
        guard !photos.isEmpty else { throw CheckpointError("DreamBooth needs at least one photo of the person") }
        let config = try folder.unetConfig()
        let base = try folder.unetSource()
        let side = try folder.pictureSide()
        let prompts = captions.map(settings.instancePrompt(of:)) + classPictures.map { _ in settings.classPrompt }
        let album = Album((photos + classPictures).map { $0.clipCrop(size: side) }, captions: prompts, side: side)
        let lowRank = try settings.rank.map { try LowRankParameters(base, rank: $0, seed: settings.seed) }
        let whole = ParameterSet(base, trainable: { _ in lowRank == nil })
        // What a UNet for large pictures keeps for its backward pass does not fit beside its weights.
        @Sendable func unet(_ source: any TensorSource) throws -> UNet2DConditionModel {
            var unet = try UNet2DConditionModel(Weights(source), config)
            unet.gradientCheckpointing = config.sampleSize > 32
            return unet
        }
        var merged: (@Sendable () throws -> UNet2DConditionModel)?
        if let lowRank { merged = { try unet(lowRank.source) } }
        var denoising = try Denoising(folder, try merged?() ?? unet(whole), album)
        denoising.data.instances = photos.count
        denoising.timestepSampling = settings.timestepSampling
        let objective = DreamBoothObjective(
            parameters: lowRank?.parameters ?? whole.parameters, batchSize: settings.trainBatchSize,
            denoising: denoising, merged: merged, settings: settings,
            name: name)
        var seen = SHA256()
        for picture in photos + classPictures { picture.pixels.withUnsafeBytes { seen.update(bufferPointer: $0) } }
        seen.update(data: Data(prompts.joined(separator: "\n").utf8))
        let shown = seen.finalize().map { String(format: "%02x", $0) }.joined()
        var optimizer = OptimizerSettings(learningRate: settings.learningRate)
        optimizer.gradientAccumulationSteps = 2
        optimizer.lrWarmupSteps = min(10, settings.maxTrainSteps)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        var loop = TrainingLoop(
            name: name, optimizer: optimizer, steps: settings.maxTrainSteps, folder: state,
            fingerprint:
                "dreambooth of \(try folder.pictureHash()) on \(shown) "
                + String(decoding: try encoder.encode(settings), as: UTF8.self)
        )
        loop.checkpointingSteps = 50
        return try loop.run(objective, report: report)
    }
}

/// Half of every batch is the person with the identifier, half the class without (paper eq. 12–13).
struct DreamBoothObjective: TrainingObjective {
    let parameters: [String: Tensor]
    let batchSize: Int
    let denoising: Denoising
    /// The UNet with the low-rank changes as they are now; nil where its own weights are the parameters.
    let merged: (@Sendable () throws -> UNet2DConditionModel)?
    let settings: DreamBoothSettings
    let name: String

    func loss(batch number: Int) throws -> Tensor {
        var random = BatchRandom(seed: settings.seed, name: name, batch: number)
        let half = max(batchSize / 2, 1)
        var denoising = denoising
        if let merged { denoising.unet = try merged() }
        let data = denoising.data
        let total = data.album.photos.count
        let own = (0..<half).map { _ in random.integer(below: data.instances) }
        let hasClass = total > data.instances
        let other =
            hasClass ? (0..<half).map { _ in data.instances + random.integer(below: total - data.instances) } : []
        let photos = own + other
        let (prediction, target, _) = try denoising.predict(
            photos, photos.map { data.album.photos[$0].caption }, &random)
        guard hasClass else { return DiffusionLoss.meanSquaredError(prediction, target) }
        return DiffusionLoss.priorPreservation(
            prediction, target, instances: half, priorLossWeight: settings.priorLossWeight
        ).total
    }
}
