internal import CLIP
internal import Checkpoint
import Foundation
public import ImageIO
internal import TensorEngine

/// Says of a picture whether it is like what should not be shown. Matches diffusers `StableDiffusionSafetyChecker`: the
/// cosine between CLIP's embedding of the picture and each concept's, less the concept's threshold; a hit among the special
/// ones makes the others stricter by 0.01.
public struct SafetyChecker: Sendable {
    let vision: CLIPVisionModel
    private let concepts, specials: [(embedding: [Float], threshold: Float)]

    private struct Config: Decodable {
        var vision_config: CLIPVisionConfig
        var projection_dim: Int?
    }

    /// Reads `safety_checker/`; nil where the model has none.
    public init?(_ folder: PipelineFolder) throws {
        let url = folder.url.appendingPathComponent("safety_checker")
        guard FileManager.default.fileExists(atPath: url.appendingPathComponent("config.json").path) else { return nil }
        let json = try PipelineFolder.decode(url.appendingPathComponent("config.json"), Config.self)
        var config = json.vision_config
        config.projectionDim = json.projection_dim ?? 512
        let weights = Weights(try CheckpointPlace.find(in: url, "model").open())
        let outer = weights / "vision_model"
        let isNested = (outer / "vision_model" / "embeddings").has("class_embedding")
        vision = try CLIPVisionModel(tower: isNested ? outer / "vision_model" : outer, projection: weights, config)
        func list(_ name: String) throws -> [(embedding: [Float], threshold: Float)] {
            let count = try weights.shape(name)[0]
            let (rows, thresholds) = (
                try weights.tensor(name, count, config.projectionDim),
                try weights.tensor(name + "_weights", count).scalars
            )
            return (0..<count).map { (rows[$0].scalars, thresholds[$0]) }
        }
        (concepts, specials) = (try list("concept_embeds"), try list("special_care_embeds"))
        try weights.requireAllTaken()
    }

    /// Whether the picture should not be shown.
    public func flags(_ picture: RGBImage) -> Bool { scores(picture).contains { $0 > 0 } }

    /// Of each concept: positive where the picture is too much like it, rounded to three decimals.
    public func scores(_ picture: RGBImage) -> [Float] {
        let pixels = CLIPImageProcessor(size: vision.config.imageSize)(picture)
        let embedding = vision(pixels).imageEmbeds.scalars
        func score(_ concept: (embedding: [Float], threshold: Float), _ adjustment: Float) -> Float {
            let cosine =
                Self.dot(embedding, concept.embedding)
                / (Self.dot(embedding, embedding) * Self.dot(concept.embedding, concept.embedding)).squareRoot()
            return ((Float(cosine) - concept.threshold + adjustment) * 1000).rounded(.toNearestOrEven) / 1000
        }
        var adjustment: Float = 0
        for special in specials where score(special, adjustment) > 0 { adjustment = 0.01 }
        return concepts.map { score($0, adjustment) }
    }

    private static func dot(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
}
