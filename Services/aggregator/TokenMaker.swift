import Checkpoint
import Contracts
import Foundation
import IPAdapter
import ModelFolder
import TensorEngine

/// Embeddings of a person's photos → the conditioning tokens of a method.
struct TokenMaker: Sendable {
    let conditioner: PersonConditioner
    /// Hash of the weights.
    let hash: String

    init(_ folder: PipelineFolder) throws {
        conditioner = try PersonConditioner(folder)
        hash = try folder.aggregationHash()
    }

    /// - Parameters:
    ///   - embeddings: one tensor for each photo, [D], in the photos' order
    ///   - weights: a factor on each of them
    /// - Returns: a safetensors file with one tensor `tokens` [2, T, cross_attention_dim]: row 0 unconditional, made
    ///   from zero embeddings in the same way, row 1 conditional
    func callAsFunction(
        _ method: Method, _ embeddings: [Tensor], seed: UInt64, weights: [Double]? = nil
    ) throws -> Data {
        guard let aggregation = Aggregation(rawValue: method.rawValue) else {
            throw CheckpointError("\(method.rawValue) has no image tokens; it needs a fine-tuned model instead")
        }
        let indices: [Int] =
            switch method.photos {
            case .none: []
            case .one: [0]
            case .any: Array(embeddings.indices)
            case .nine: PhotoChoice.indices(available: embeddings.count, seed: seed)
            }
        let chosen = Tensor.stacked(indices.map { embeddings[$0].reshaped([1, -1]) })
        return try SafetensorsWriter.data([
            "tokens": conditioner(aggregation, chosen, weights: weights?.map { Float($0) })
        ])
    }
}
