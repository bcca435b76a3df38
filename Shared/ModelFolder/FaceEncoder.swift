internal import Checkpoint
internal import Faces
internal import Foundation
internal import ImageIO
internal import TensorEngine

/// Photo → ArcFace's embedding of the largest face in it: what FaceID adapters read, where it does not come with the photo.
///
/// The network is `evaluation/arcface/`, faces are found by `evaluation/mtcnn/` (``IdentityNetwork``). h94's FaceID was
/// trained on embeddings of insightface's `buffalo_l` (`w600k_r50`): only with those weights do its pictures resemble anyone.
struct FaceEncoder: Sendable {
    private let network: IResNet
    private let finder: MTCNN

    /// nil where the model folder has no ArcFace.
    init?(_ folder: PipelineFolder) throws {
        guard let file = EvaluationFiles(folder.url, "arcface").weights else { return nil }
        let source = try CheckpointFile.open(file)
        guard IResNet.isRecognised(source) else {
            throw CheckpointError("\(file.path): is not insightface's IResNet (ArcFace) by its names")
        }
        network = try IResNet(source)
        finder = try FaceFinder(folder.url.appendingPathComponent("evaluation/mtcnn")).network
    }

    /// [E] of length 1; nil where no face is found.
    func callAsFunction(_ photo: RGBImage) -> Tensor? {
        finder(photo).first.flatMap { FaceAlignment.aligned($0, in: photo) }.map { network([$0])[0] }
    }

    /// The files that its embeddings depend on; none where the folder has no ArcFace.
    static func files(_ folder: URL) -> [URL] {
        guard let arcFace = EvaluationFiles(folder, "arcface").weights else { return [] }
        let finder = EvaluationFiles(folder, "mtcnn")
        return [arcFace] + ["pnet", "rnet", "onet"].compactMap { finder.weights(named: $0) }
    }
}
