internal import CLIP
internal import Checkpoint
internal import Foundation
internal import IPAdapter
public import ImageIO
internal import NeuralNetwork
internal import TensorEngine

/// CLIP's view of how well pictures fit their prompts (CLIP-T) and a person's photos (CLIP-I).
///
/// `evaluation/clip` may hold a whole CLIP as transformers publishes it (`openai/clip-vit-large-patch14`: `config.json`,
/// `model.safetensors`, `vocab.json`, `merges.txt`). Without it the adapter's vision tower compares pictures with photos, and
/// with prompts only if the folder has a text projection for it: Stable Diffusion 1.5's text tower and IP-Adapter's vision
/// tower are of different CLIPs.
public struct AlignmentNetwork: Sendable {
    private let vision: CLIPVisionModel
    private let text: (model: CLIPTextModel, projection: Linear, tokenizer: BytePairTokenizer)?

    /// Whether there is any: a folder with a FaceID adapter may have no vision tower.
    public static func isThere(_ folder: PipelineFolder) throws -> Bool {
        try hasOwn(folder) || folder.hasImageEncoder || folder.imageProjection().input != .faceEmbedding
    }

    private static func home(_ folder: PipelineFolder) -> URL { folder.url.appendingPathComponent("evaluation/clip") }

    private static func hasOwn(_ folder: PipelineFolder) -> Bool {
        FileManager.default.fileExists(atPath: home(folder).appendingPathComponent("config.json").path)
    }

    /// The network of a model folder.
    public init(_ folder: PipelineFolder) throws {
        let home = Self.home(folder)
        guard Self.hasOwn(folder) else {
            vision = try folder.vision()
            text = try folder.textProjection().map { (try folder.text(), $0, try folder.tokenizer()) }
            return
        }
        struct Config: Decodable {
            var text_config: CLIPTextConfig
            var vision_config: CLIPVisionConfig
            var projection_dim: Int
        }
        var config = try PipelineFolder.decode(home.appendingPathComponent("config.json"), Config.self)
        config.vision_config.projectionDim = config.projection_dim
        let weights = Weights(try CheckpointPlace.find(in: home, "model").open())
        vision = try CLIPVisionModel(weights, config.vision_config)
        let model = try CLIPTextModel(weights, config.text_config)
        let projection = try Linear(
            weights / "text_projection", config.text_config.hiddenSize, config.projection_dim, bias: false)
        try weights.requireAllTaken(ignoring: ["position_ids", "logit_scale"])
        func read(_ name: String) throws -> Data {
            do { return try Data(contentsOf: home.appendingPathComponent(name)) } catch {
                throw CheckpointError("\(home.path)/\(name): cannot be read: \(error.localizedDescription)")
            }
        }
        let tokenizer = try BytePairTokenizer(
            vocab: read("vocab.json"), merges: read("merges.txt"), length: config.text_config.maxPositionEmbeddings)
        text = (model, projection, tokenizer)
    }

    /// Whether prompts can be compared.
    public var readsPrompts: Bool { text != nil }

    /// Embeddings of pictures.
    public func embeddings(_ images: [RGBImage]) -> [[Double]] {
        let processor = CLIPImageProcessor(size: vision.config.imageSize)
        return images.map { vision(processor($0)).imageEmbeds.scalars.map(Double.init) }
    }

    /// Embeddings of prompts; nil if they cannot be compared.
    public func embeddings(_ prompts: [String]) -> [[Double]]? {
        guard let text else { return nil }
        return prompts.map { text.projection(text.model([text.tokenizer($0).ids]).pooled).scalars.map(Double.init) }
    }
}
