internal import Checkpoint
public import Foundation
internal import ImageIO
public import ImageMetrics
internal import TensorEngine

/// A folder of pictures as FID's network sees it.
public struct PictureSet: Sendable {
    /// [N, 2048] and [N, 1008] (without the bias).
    public let features, logits: [[Double]]

    /// Reads and looks at every PNG and JPEG file of a folder, in order of name.
    ///
    /// - Parameter onPicture: told after each batch how many are done, and of how many
    public init(
        _ folder: URL, network: InceptionV3, resize: InceptionV3.Resize, onPicture: (Int, Int) -> Void = { _, _ in }
    ) throws {
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: folder.path) } catch {
            throw CheckpointError("\(folder.path): cannot be read as a folder: \(error.localizedDescription)")
        }
        let files = names.filter { ["png", "jpg", "jpeg"].contains(($0 as NSString).pathExtension.lowercased()) }
            .sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
        guard files.count >= 2 else {
            throw CheckpointError("\(folder.path): holds \(files.count) PNG or JPEG files; scores need at least two")
        }
        var (features, logits): ([[Double]], [[Double]]) = ([], [])
        for start in stride(from: 0, to: files.count, by: 8) {
            let images = try files[start..<min(start + 8, files.count)].map {
                try ImageFile.decode(contentsOf: folder.appendingPathComponent($0)).rgb
            }
            let output = network(images, resize: resize)
            func rows(_ x: Tensor) -> [[Double]] { (0..<x.shape[0]).map { x[$0].scalars.map(Double.init) } }
            features += rows(output.features)
            logits += rows(output.logitsUnbiased)
            onPicture(features.count, files.count)
        }
        (self.features, self.logits) = (features, logits)
    }

    /// FID's Inception v3 in a file, or in `evaluation/inception` of a model folder.
    public static func network(at url: URL) throws -> InceptionV3 {
        var file = url
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue {
            guard let found = EvaluationFiles(url, "inception").weights else {
                throw CheckpointError(
                    "\(url.path): has no evaluation/inception/*.pth or *.safetensors; name torch-fidelity's file "
                        + "weights-inception-2015-12-05-6726825d.pth, or a folder that has it there")
            }
            file = found
        }
        let source = try CheckpointFile.open(file)
        guard InceptionV3.isRecognised(source) else {
            throw CheckpointError(
                "\(source.description): is not FID's Inception v3 (the TensorFlow port with 1008 classes); name "
                    + "weights-inception-2015-12-05-6726825d.pth")
        }
        return try InceptionV3(Weights(source))
    }
}
