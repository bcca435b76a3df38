internal import CLIP
internal import Checkpoint
internal import Crypto
internal import Diffusion
public import Foundation
internal import IPAdapter
public import ModelFolder
public import RenderedPeople
public import TensorEngine

/// What the two trainings of an adapter are made of, besides the model folder, the people and the optimiser.
public struct AdapterTrainingSettings: Sendable, Equatable {
    /// Pictures in a batch.
    public var batchSize = 1
    /// Seed of initial weights and batches.
    public var seed: UInt64 = 1
    /// Side in pixels of the pictures that are reconstructed; nil for what the UNet was made for (its `sample_size`).
    public var side: Int?
    /// Layers are computed again in the backward pass rather than kept.
    public var gradientCheckpointing = true
    /// Heads of the self-attention; must divide the width of the image embeddings.
    public var heads = 8
    /// What the decoupled attention reads of self-attention's nine photos: `self-attention`, `self-attention-max` or
    /// `self-attention-avg`.
    public var readout = "self-attention"
    /// How time steps are drawn.
    public var timestepSampling = TimestepSampling.uniform

    /// diffusers' training scripts' batch, and the paper's readout.
    public init() {}
}

/// The paper's two trainings that leave Stable Diffusion as it is, on any model folder, miniature or real: IP-Adapter
/// (eq. 17), and IP-Adapter with self-attention over nine photos (eq. 1 and section 3.5).
public struct AdapterTraining: Sendable {
    /// Which of the two.
    public enum Kind: String, Sendable {
        case ipAdapter = "ip-adapter"
        case selfAttention = "self-attention"
    }

    let folder: PipelineFolder
    let settings: AdapterTrainingSettings

    /// - Parameter folder: with a vision tower; only the training of self-attention needs an IP-Adapter in it
    public init(_ folder: PipelineFolder, _ settings: AdapterTrainingSettings) {
        (self.folder, self.settings) = (folder, settings)
    }

    /// Where services look for what is trained.
    public func place(of kind: Kind) -> URL {
        switch kind {
        case .ipAdapter: folder.adapterURL.appendingPathComponent("ip-adapter_sd15.safetensors")
        case .selfAttention: folder.selfAttentionURL
        }
    }

    /// Tells apart runs whose results differ: of other weights, people or settings.
    public func fingerprint(_ kind: Kind, _ people: [FaceDataset.Person], _ optimizer: OptimizerSettings) throws
        -> String
    {
        let photos = people.map { "\($0.name) \($0.photos.count)" }.joined(separator: ",")
        let made = "\(try folder.trainingHash()) \(photos) \(settings) \(optimizer)"
        let hash = SHA256.hash(data: Data(made.utf8)).map { String(format: "%02x", $0) }.joined()
        return "\(kind.rawValue), \(people.count) people, \(hash)"
    }

    /// Image projection, W'k and W'v, from a projection of random weights and copies of the UNet's own W_k and W_v.
    ///
    /// - Parameters:
    ///   - say: told what is wrong with photos and captions, where training goes on without them
    ///   - report: told every log line
    /// - Returns: tensors under h94's keys
    /// - Throws: what the folder, the photos and the loop throw
    public func adapter(
        _ people: [FaceDataset.Person], _ loop: TrainingLoop, say: (String) -> Void = { _ in },
        report: (TrainingProgress) throws -> Void
    ) throws -> [String: Tensor] {
        let unet = try unet()
        let set = ParameterSet(AdapterStart(unet, weights: try folder.unetSource(), random: random("adapter")))
        let adapter = try IPAdapterModel(
            Weights(set), for: unet, embeddingWidth: folder.visionConfig().projectionDim, tokens: 4)
        let objective = AdapterObjective(
            parameters: set.parameters, batchSize: settings.batchSize,
            denoising: try denoising(unet, people, minimumPhotos: 1, say), adapter: adapter, seed: settings.seed)
        return try loop.run(objective, report: report)
    }

    /// Self-attention from a start close to average pooling, and the folder's IP-Adapter, all of it.
    ///
    /// - Parameters:
    ///   - people: with at least two photos each; ten are used
    ///   - say: told what is wrong with photos and captions, where training goes on without them
    ///   - report: told every log line
    /// - Returns: tensors as `self_attention.safetensors` has them, and the metadata that belongs to them
    /// - Throws: what the folder, the photos and the loop throw; `CheckpointError` for an adapter that does not read image
    ///   embeddings
    public func selfAttention(
        _ people: [FaceDataset.Person], _ loop: TrainingLoop, say: (String) -> Void = { _ in },
        report: (TrainingProgress) throws -> Void
    ) throws -> (tensors: [String: Tensor], metadata: [String: String]) {
        guard let aggregation = Aggregation(rawValue: "ip-adapter-" + settings.readout), aggregation.needsSelfAttention
        else {
            throw CheckpointError(
                "readout \(settings.readout): choose self-attention, self-attention-max or self-attention-avg")
        }
        let projection = try folder.imageProjection()
        guard projection.input == .imageEmbedding else {
            throw CheckpointError(
                "\(folder.adapterFile.path): does not read CLIP's image embedding, which self-attention is trained on; name "
                    + "ip-adapter_sd15 or ip-adapter_sd15_light")
        }
        // Before photos are encoded, which takes long.
        guard settings.heads > 0, projection.embeddingWidth % settings.heads == 0 else {
            throw CheckpointError("\(settings.heads) heads do not divide \(projection.embeddingWidth) features")
        }
        let unet = try unet()
        let set = ParameterSet(try folder.adapterSource())
        let adapter = try IPAdapterModel(Weights(set), for: unet)
        let denoising = try denoising(unet, people, minimumPhotos: 2, say)
        let attentionSet = ParameterSet(
            SelfAttentionStart(averages: denoising.data.averages(), random: random("attention")))
        let attention = try PhotoSelfAttention(
            Weights(attentionSet), width: projection.embeddingWidth, heads: settings.heads)
        var parameters = set.parameters
        for (name, tensor) in attentionSet.parameters { parameters[Self.prefix + name] = tensor }
        let objective = SelfAttentionObjective(
            parameters: parameters, batchSize: settings.batchSize,
            denoising: denoising, adapter: adapter, attention: attention, aggregation: aggregation, seed: settings.seed)
        let result = try loop.run(objective, report: report)
        return (
            Dictionary(uniqueKeysWithValues: result.map { (String($0.key.trimmingPrefix(Self.prefix)), $0.value) }),
            ["heads": "\(settings.heads)", "readout": settings.readout]
        )
    }

    private static let prefix = "aggregator."

    private func unet() throws -> UNet2DConditionModel {
        var unet = try folder.unet()
        unet.gradientCheckpointing = settings.gradientCheckpointing
        return unet
    }

    private func random(_ name: String) -> RandomWeights {
        RandomWeights(seed: settings.seed &* 31 &+ UInt64(name.count))
    }

    /// The frozen parts and what they make of the people's photos: latents of squares of `side`, and CLIP's view of them.
    private func denoising(
        _ unet: UNet2DConditionModel, _ people: [FaceDataset.Person], minimumPhotos: Int, _ say: (String) -> Void
    ) throws -> Denoising {
        let whole = try folder.vaeConfig().downscale << (unet.config.blockOutChannels.count - 1)
        let side = try settings.side ?? folder.pictureSide()
        guard side > 0, side % whole == 0 else {
            throw CheckpointError("a side of \(side) pixels: must be a multiple of \(whole)")
        }
        let album = try Album(people, side: side, minimumPhotos: minimumPhotos)
        let seenSide = try folder.visionConfig().imageSize
        let seen = seenSide == side ? album : try Album(people, side: seenSide, minimumPhotos: minimumPhotos)
        var denoising = try Denoising(folder, unet, album, seen: seen)
        denoising.timestepSampling = settings.timestepSampling
        album.notices.forEach(say)
        let tooLong = denoising.captions.tooLong(album.photos.map(\.caption))
        if tooLong > 0 {
            say("\(tooLong) captions are longer than the text tower reads at once; their beginning is read")
        }
        return denoising
    }
}
