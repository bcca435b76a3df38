internal import Checkpoint
import Foundation
public import ImageIO
internal import ImageMetrics
internal import TensorEngine

/// A network that pictures are scored with: features for FID, KID or identity similarity, and class logits for the
/// Inception score.
public struct ScoringNetwork: Sendable {
    private enum Form: Sendable {
        case miniature(EvaluationNetwork)
        case inceptionV3(InceptionV3)
    }
    private let form: Form

    /// The network in `evaluation/<name>` of a model folder; nil where there is none.
    ///
    /// With a config.json it is an ``EvaluationNetwork``; without, a file of FID's Inception v3 as torch-fidelity and
    /// pytorch-fid publish it (`weights-inception-2015-12-05-….pth`, or the same as safetensors).
    public init?(_ folder: PipelineFolder, _ name: String) throws {
        if let network = try folder.evaluationNetwork(name) {
            form = .miniature(network)
            return
        }
        let home = folder.url.appendingPathComponent("evaluation/\(name)")
        let files = (try? FileManager.default.contentsOfDirectory(atPath: home.path)) ?? []
        guard let file = files.sorted().first(where: { $0.hasSuffix(".pth") || $0.hasSuffix(".safetensors") }) else {
            return nil
        }
        let source = try CheckpointFile.open(home.appendingPathComponent(file))
        guard InceptionV3.isRecognised(source) else {
            throw CheckpointError(
                "\(source.description): is not FID's Inception v3 (the TensorFlow port with 1008 classes), and there is no "
                    + "config.json beside it that says what it is; put weights-inception-2015-12-05-6726825d.pth there")
        }
        form = .inceptionV3(try InceptionV3(Weights(source)))
    }

    /// Features and logits of each picture.
    public func callAsFunction(_ images: [RGBImage]) -> (features: [[Double]], logits: [[Double]]) {
        var (features, logits): ([[Double]], [[Double]]) = ([], [])
        for start in stride(from: 0, to: images.count, by: 8) {
            let part = Array(images[start..<min(start + 8, images.count)])
            let (f, l) = outputs(part)
            features += rows(f)
            logits += rows(l)
        }
        return (features, logits)
    }

    private func outputs(_ images: [RGBImage]) -> (Tensor, Tensor) {
        switch form {
        case .miniature(let network):
            let side = network.config.imageSize
            let output = network(
                .stacked(
                    images.map {
                        $0.resized(width: side, height: side, filter: .bicubic).tensor(scale: 2, offset: -1)
                    }))
            return (output.features, output.logits)
        case .inceptionV3(let network):
            let output = network(images)
            return (output.features, output.logitsUnbiased)
        }
    }

    private func rows(_ x: Tensor) -> [[Double]] { (0..<x.shape[0]).map { x[$0].scalars.map(Double.init) } }
}
