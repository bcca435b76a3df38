internal import CLIP
internal import IPAdapter
public import TensorEngine

/// Photos as the folder's IP-Adapter wants them seen: by the image embedding, or (Plus, full-face) by the tower's last
/// hidden states but one.
public struct PhotoEncoder: Sendable {
    let model: CLIPVisionModel
    let readsHiddenStates: Bool
    /// Names the weights and what is read: embeddings of one are of no use to another.
    public let hash: String

    /// Loads the vision tower.
    public init(_ folder: PipelineFolder) throws {
        model = try folder.vision()
        readsHiddenStates = try folder.imageProjection().readsHiddenStates
        hash = try folder.visionHash() + (readsHiddenStates ? "-hidden-states" : "")
    }

    /// Side of the tower's input in pixels.
    public var side: Int { model.config.imageSize }

    /// - Parameter pixels: from `CLIPImageProcessor` of this ``side``, [N, side, side, 3]
    /// - Returns: [N, projection_dim], or [N, (patches + 1) · hidden_size]
    public func callAsFunction(_ pixels: Tensor) -> Tensor {
        let output = model(pixels)
        guard readsHiddenStates else { return output.imageEmbeds }
        let states = output.hiddenStates[output.hiddenStates.count - 2]
        return states.reshaped([states.shape[0], -1])
    }
}
