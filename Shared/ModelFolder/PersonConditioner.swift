internal import Checkpoint
public import IPAdapter
public import TensorEngine

/// Embeddings of a person's photos → conditioning tokens, by any aggregation.
///
/// Pooling goes into the pretrained IP-Adapter's projection; self-attention into the projection that was trained with
/// it, where the folder has one (the paper trains both together).
public struct PersonConditioner: Sendable {
    let projection: ImageProjection
    let selfAttention: PhotoSelfAttention?
    let selfAttentionProjection: ImageProjection?

    /// Loads the projections and, where there is one, the self-attention.
    public init(_ folder: PipelineFolder) throws {
        projection = try folder.imageProjection()
        selfAttention = try folder.selfAttention()
        selfAttentionProjection = try folder.selfAttentionProjection()
    }

    /// - Parameter embeddings: of the photos that the method looks at, [photos, E]
    /// - Returns: tokens [2, T, cross_attention_dim]: row 0 unconditional, made from zero embeddings in the same way
    public func callAsFunction(_ aggregation: Aggregation, _ embeddings: Tensor) throws -> Tensor {
        guard embeddings.shape[1] == projection.embeddingWidth else {
            throw CheckpointError(
                "the photos' embeddings are \(embeddings.shape[1]) wide, the IP-Adapter reads "
                    + "\(projection.embeddingWidth): encoder and aggregator run with different LIKENESS_MODELS")
        }
        let rows = Tensor.stacked([.zeros(embeddings.shape), embeddings]).reshaped([2] + embeddings.shape)
        let aggregated = try aggregation(rows, selfAttention)
        guard aggregation.needsSelfAttention, let selfAttentionProjection else { return projection(aggregated) }
        return selfAttentionProjection(aggregated)
    }
}
