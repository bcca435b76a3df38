internal import Checkpoint
public import Foundation

/// The order in which the miniature family is trained, from nothing: each part needs those before it.
public enum TrainingStage: String, CaseIterable, Sendable, Codable {
    /// Autoencoder, on pre-training pictures.
    case vae
    /// Both CLIP towers, on pre-training pictures with captions.
    case clip
    /// The denoiser, on pre-training pictures with captions.
    case unet
    /// Features and classes for FID and IS.
    case inception
    /// Identity embeddings, on people of the pre-training pictures.
    case identity
    /// The paper's IP-Adapter, UNet frozen.
    case ipAdapter = "ip-adapter"
    /// The paper's own: self-attention over nine photos.
    case selfAttention = "self-attention"
}

/// How much of everything: the published table's values are the defaults.
public struct CurriculumSettings: Codable, Sendable, Equatable {
    /// Seed of data, initial weights and batches.
    public var seed: UInt64 = 1
    /// People of the pre-training pictures, who are in no other set, and photos of each.
    public var pretrainingPeople = 2000
    public var pretrainingPhotos = 6
    /// People of the data set proper (two thirds train, one third tests) and photos of each.
    public var people = 1500
    public var photos = 14
    /// Updates of each stage, by name.
    public var steps: [String: Int] = [
        "vae": 10000, "clip": 2000, "unet": 8000, "inception": 2500, "identity": 1500, "ip-adapter": 3000,
        "self-attention": 3000,
    ]
    /// Pictures in a batch, by stage; an update takes two batches, one on each core.
    public var batchSize: [String: Int] = [
        "vae": 4, "clip": 64, "unet": 16, "inception": 32, "identity": 32, "ip-adapter": 16, "self-attention": 16,
    ]
    /// Learning rates after warm-up, by stage.
    public var learningRate: [String: Float] = [
        "vae": 1e-3, "clip": 1e-3, "unet": 1e-3, "inception": 1e-3, "identity": 1e-3, "ip-adapter": 1e-3,
        "self-attention": 5e-4,
    ]
    /// What the decoupled attention reads of self-attention's nine photos.
    public var readout = "self-attention"
    /// How time steps are drawn for the two adapters; on validation people 900 updates of IP-Adapter brought average pooling
    /// to 0.68 of identity similarity with cubic, to 0.62 with uniform ones.
    public var adapterTimestepSampling = TimestepSampling.cubic

    /// The published table's.
    public init() {}

    /// Those that a model folder was trained with; nil where it does not say.
    public init?(trained model: URL) throws {
        guard let json = try? Data(contentsOf: model.appendingPathComponent("training/settings.json")) else {
            return nil
        }
        try self.init(overriding: json)
    }

    /// Those that differ from the defaults, as JSON.
    /// - Throws: `CheckpointError` naming a key that there is not, or what is wrong with its value
    public init(overriding json: Data) throws {
        let standard = try JSONSerialization.jsonObject(with: JSONEncoder().encode(CurriculumSettings()))
        guard var merged = standard as? [String: Any],
            let given = try? JSONSerialization.jsonObject(with: json) as? [String: Any]
        else { throw CheckpointError("the training settings are no JSON object") }
        for (key, value) in given {
            guard let old = merged[key] else {
                throw CheckpointError(
                    "the training settings have no '\(key)'; choose from \(merged.keys.sorted().joined(separator: ", "))"
                )
            }
            // Tables by stage are merged, stage by stage.
            guard let table = old as? [String: Any], let own = value as? [String: Any] else {
                merged[key] = value
                continue
            }
            for stage in own.keys where TrainingStage(rawValue: stage) == nil {
                throw CheckpointError("the training settings' \(key) name '\(stage)', which is no stage")
            }
            merged[key] = table.merging(own) { $1 }
        }
        do {
            self = try JSONDecoder().decode(Self.self, from: JSONSerialization.data(withJSONObject: merged))
        } catch { throw CheckpointError("the training settings cannot be read: \(error)") }
    }

    /// The optimiser of a stage.
    func optimizer(_ stage: TrainingStage) -> OptimizerSettings {
        var settings = OptimizerSettings(learningRate: learningRate[stage.rawValue] ?? 1e-3)
        settings.lrWarmupSteps = min(200, (steps[stage.rawValue] ?? 0) / 10)
        settings.cosineDecay = true
        settings.gradientAccumulationSteps = 2
        settings.emaDecay = stage == .unet || stage == .ipAdapter || stage == .selfAttention ? 0.999 : nil
        return settings
    }
}
