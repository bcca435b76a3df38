import Checkpoint
import Contracts
import Foundation
import IPAdapter
import ModelFolder
import TensorEngine

/// Embeddings of a person's photos → conditioning tokens.
struct TokenMaker: Sendable {
    let projection: ImageProjection
    let selfAttention: PhotoSelfAttention?
    /// Hash of the weights.
    let hash: String

    init(_ folder: PipelineFolder) throws {
        projection = try folder.imageProjection()
        selfAttention = try folder.selfAttention()
        hash = try folder.aggregationHash()
    }

    /// - Parameter embeddings: one tensor for each photo, [D], in the photos' order
    /// - Returns: a safetensors file with one tensor `tokens` [2, T, cross_attention_dim]: row 0 unconditional, made
    ///   from zero embeddings in the same way, row 1 conditional
    func callAsFunction(_ method: Method, _ embeddings: [Tensor], seed: UInt64) throws -> Data {
        guard let aggregation = method.aggregation else {
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
        guard chosen.shape[1] == projection.embeddingWidth else {
            throw CheckpointError(
                "the photos' embeddings are \(chosen.shape[1]) wide, the IP-Adapter reads \(projection.embeddingWidth): "
                    + "encoder and aggregator run with different LIKENESS_MODELS")
        }
        let rows = Tensor.stacked([.zeros(chosen.shape), chosen]).reshaped([2] + chosen.shape)
        return try SafetensorsWriter.data(["tokens": projection(try aggregation(rows, selfAttention))])
    }
}

extension Method {
    /// What the method does with several embeddings; nil for the one that has none.
    var aggregation: Aggregation? {
        switch self {
        case .dreambooth: nil
        case .ipAdapter: .single
        case .ipAdapterMax: .max
        case .ipAdapterAvg: .avg
        case .ipAdapterSelfAttention: .selfAttention
        case .ipAdapterSelfAttentionMax: .selfAttentionMax
        case .ipAdapterSelfAttentionAvg: .selfAttentionAvg
        }
    }
}
