internal import CLIP
internal import Checkpoint
internal import Foundation
internal import IPAdapter
public import TensorEngine

/// Photos as the folder's IP-Adapter wants them seen: by the image embedding, or (Plus, full-face) by the tower's last
/// hidden states but one.
public struct PhotoEncoder: Sendable {
    let model: CLIPVisionModel
    let readsHiddenStates: Bool

    /// Loads the vision tower.
    public init(_ folder: PipelineFolder) throws {
        let input = try folder.imageProjection().input
        guard input != .faceEmbedding else {
            throw CheckpointError(
                "\(folder.adapterFile.path): reads face embeddings (FaceID), not what CLIP sees; use another adapter here"
            )
        }
        readsHiddenStates = input == .hiddenStates
        model = try folder.vision()
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
