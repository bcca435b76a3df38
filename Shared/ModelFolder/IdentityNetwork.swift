internal import Checkpoint
internal import Faces
public import Foundation
public import ImageIO
internal import TensorEngine

/// Tells people apart: picture → identity embedding of the face in it.
///
/// | in `evaluation/` | network | sees |
/// |---|---|---|
/// | `facenet/` (`20180402-114759-vggface2.pt`, or as safetensors) | `InceptionResnetV1` | MTCNN's box, stretched to 160×160 |
/// | `arcface/` (insightface's `backbone.pth`) | `IResNet` | the face turned by its landmarks, 112×112 |
/// | `identity/` (`config.json`) | the miniature's own | the whole picture |
///
/// The first two need `mtcnn/` with facenet-pytorch's `pnet.pt`, `rnet.pt` and `onet.pt`. A picture without a face has no
/// embedding; of several faces the largest counts, as in facenet-pytorch.
public struct IdentityNetwork: Sendable {
    private enum Form: Sendable {
        case whole(ScoringNetwork)
        case faceNet(InceptionResnetV1, MTCNN)
        case arcFace(IResNet, MTCNN)
    }
    private let form: Form
    /// Its name, for notes.
    public let name: String

    /// What it reads in a picture.
    public struct Reading: Sendable {
        /// The largest face's embedding; nil where there is none.
        public let embedding: [Double]?
        /// How many faces there are.
        public let faces: Int
    }

    /// The network of a model folder; nil where it has none.
    public init?(_ folder: PipelineFolder) throws {
        let (faceNet, arcFace) = (
            EvaluationFiles(folder.url, "facenet").weights, EvaluationFiles(folder.url, "arcface").weights
        )
        if let file = faceNet ?? arcFace {
            let source = try CheckpointFile.open(file)
            let finder = try FaceFinder(folder.url.appendingPathComponent("evaluation/mtcnn")).network
            if InceptionResnetV1.isRecognised(source) {
                (form, name) = (.faceNet(try InceptionResnetV1(source), finder), "FaceNet")
            } else if IResNet.isRecognised(source) {
                (form, name) = (.arcFace(try IResNet(source), finder), "ArcFace")
            } else {
                throw CheckpointError(
                    "\(file.path): is neither facenet-pytorch's InceptionResnetV1 nor insightface's IResNet by its names"
                )
            }
        } else if let network = try ScoringNetwork(folder, "identity") {
            (form, name) = (.whole(network), "the folder's own network")
        } else {
            return nil
        }
    }

    /// What it reads in each picture.
    public func callAsFunction(_ images: [RGBImage]) -> [Reading] {
        switch form {
        case .whole(let network):
            network(images).features.map { Reading(embedding: $0, faces: 1) }
        case .faceNet(let network, let finder):
            images.map { image in
                Self.reading(finder(image)) { FaceCrop()($0, in: image).map { network([$0]) } }
            }
        case .arcFace(let network, let finder):
            images.map { image in
                Self.reading(finder(image)) { FaceAlignment.aligned($0, in: image).map { network([$0]) } }
            }
        }
    }

    private static func reading(_ faces: [DetectedFace], _ embed: (DetectedFace) -> Tensor?) -> Reading {
        let embedding = faces.first.flatMap(embed)
        return Reading(embedding: embedding?.scalars.map(Double.init), faces: embedding == nil ? 0 : faces.count)
    }
}
