internal import CLIP
internal import Checkpoint
internal import IPAdapter
public import ImageIO
public import TensorEngine

/// What the folder's IP-Adapter reads of a photo, whichever kind of adapter it is: CLIP's view of it (``PhotoEncoder``), or
/// with FaceID the embedding of a face, given with the photo or made by the folder's ArcFace (``FaceEncoder``).
public struct PhotoReader: Sendable {
    private enum Form: Sendable {
        case tower(PhotoEncoder)
        case face(FaceEncoder?, width: Int)
    }
    private let form: Form

    /// Loads what is needed.
    public init(_ folder: PipelineFolder) throws {
        let projection = try folder.imageProjection()
        form =
            projection.input == .faceEmbedding
            ? .face(try FaceEncoder(folder), width: projection.embeddingWidth) : .tower(try PhotoEncoder(folder))
    }

    /// Whether face embeddings are read, which may be given.
    public var readsFaces: Bool { if case .face = form { true } else { false } }

    /// The photo as the adapter reads it, [E].
    ///
    /// - Throws: `CheckpointError` where no face embedding can be had
    public func callAsFunction(_ photo: RGBImage) throws -> Tensor {
        switch form {
        case .tower(let encoder): return encoder(CLIPImageProcessor(size: encoder.side)(photo))[0]
        case .face(nil, let width):
            throw CheckpointError(
                "has no face embedding, which the FaceID adapter reads: add the photo again with one (\(width) numbers, "
                    + "insightface's normed_embedding, in a file such as photo.face.npy beside photo.png), or put ArcFace "
                    + "and MTCNN into the models folder (evaluation/arcface, evaluation/mtcnn)")
        case .face(let encoder?, _):
            guard let embedding = encoder(photo) else {
                throw CheckpointError(
                    "no face is found, which the FaceID adapter needs: use a photo that shows one from the front, or add it "
                        + "again with its face embedding (photo.face.npy beside photo.png)")
            }
            return try self(face: embedding.scalars)
        }
    }

    /// A face embedding as the adapter reads it, [E].
    ///
    /// - Throws: `CheckpointError` for one of another width
    public func callAsFunction(face numbers: [Float]) throws -> Tensor {
        if case .face(_, let width) = form, numbers.count != width {
            throw CheckpointError(
                "the face embedding has \(numbers.count) numbers, the FaceID adapter reads \(width): use insightface's "
                    + "buffalo_l, which h94's adapters were trained with")
        }
        return Tensor(numbers, shape: [numbers.count])
    }
}
