internal import Checkpoint
internal import Faces
public import Foundation
public import ImageIO

/// MTCNN of a folder with `pnet`, `rnet` and `onet`, as `.pt` of the facenet-pytorch package or safetensors.
public struct FaceFinder: Sendable {
    let network: MTCNN

    /// A face in a picture, the largest first.
    public struct Face: Sendable, Encodable {
        /// Left, top, right, bottom in pixels.
        public let box: [Float]
        /// 0 … 1
        public let probability: Float
        /// x and y of left eye, right eye, nose, left and right corner of the mouth.
        public let landmarks: [[Float]]
    }

    /// Loads the three networks.
    public init(_ folder: URL) throws {
        let files = EvaluationFiles(home: folder)
        func part(_ name: String) throws -> any TensorSource {
            guard let url = files.weights(named: name) else {
                throw CheckpointError(
                    "\(folder.path): has no \(name).pt, without which no faces are found; copy pnet.pt, rnet.pt and "
                        + "onet.pt from the facenet-pytorch package (facenet_pytorch/data) there")
            }
            return try CheckpointFile.open(url)
        }
        network = try MTCNN(pnet: part("pnet"), rnet: part("rnet"), onet: part("onet"))
    }

    /// The faces in a picture.
    public func callAsFunction(_ image: RGBImage) -> [Face] {
        network(image).map { face in
            Face(
                box: (0..<4).map { face.box[$0] }, probability: face.probability,
                landmarks: face.landmarks.map { [$0.x, $0.y] })
        }
    }
}
