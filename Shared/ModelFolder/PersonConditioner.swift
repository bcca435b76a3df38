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
    /// What stands for no photo, [E]: zeros, or what the tower sees in a photo of zeros (IP-Adapter Plus, full-face).
    let unconditional: Tensor

    /// Loads the projections and, where there is one, the self-attention.
    public init(_ folder: PipelineFolder) throws {
        projection = try folder.imageProjection()
        selfAttention = try folder.selfAttention()
        selfAttentionProjection = try folder.selfAttentionProjection()
        switch projection.input {
        case .hiddenStates:
            let encoder = try PhotoEncoder(folder)
            unconditional = encoder(.zeros([1, encoder.side, encoder.side, 3]))[0]
        case .imageEmbedding, .faceEmbedding:
            unconditional = .zeros([projection.embeddingWidth])
        }
    }

    /// - Parameters:
    ///   - embeddings: of the photos that the method looks at, [photos, E] (``PhotoReader``)
    ///   - weights: a factor on each photo; see `Aggregation`
    /// - Returns: tokens [2, T, cross_attention_dim]: row 0 unconditional, made in the same way from no photos
    public func callAsFunction(
        _ aggregation: Aggregation, _ embeddings: Tensor, weights: [Float]? = nil
    ) throws -> Tensor {
        let (photos, width) = (embeddings.shape[0], embeddings.shape[1])
        guard width == unconditional.count else {
            throw CheckpointError(
                "the photos' embeddings are \(width) wide, the IP-Adapter reads \(unconditional.count): encoder and "
                    + "aggregator run with different LIKENESS_MODELS or LIKENESS_IP_ADAPTER")
        }
        let none = Tensor.stacked(Array(repeating: unconditional.reshaped([1, width]), count: photos))
        let rows = Tensor.stacked([none, embeddings]).reshaped([2, photos, width])
        let aggregated = try aggregation(rows, selfAttention, weights: weights)
        guard aggregation.needsSelfAttention, let selfAttentionProjection else { return projection(aggregated) }
        return selfAttentionProjection(aggregated)
    }
}
