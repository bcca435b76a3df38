public import Checkpoint
public import ImageIO
internal import NeuralNetwork
public import TensorEngine

/// ArcFace's network (Deng et al. 2019): an aligned face of 112×112 → 512 numbers of length 1. Matches insightface's
/// `iresnet18` to `iresnet200` (`recognition/arcface_torch/backbones/iresnet.py`), whose key names it reads; the depth is the
/// checkpoint's.
public struct IResNet: Sendable {
    /// Side of its input in pixels.
    public static let side = 112

    let conv1: NormalizedConvolution
    let prelu: Tensor
    let layers: [[IResNetBlock]]
    let norm: BatchNorm
    let fc: Linear
    let features: BatchNorm

    /// Whether these are the network's weights, by their names.
    public static func isRecognised(_ source: any TensorSource) -> Bool {
        source.shape(of: "layer1.0.bn1.running_mean") != nil && source.shape(of: "features.running_mean") != nil
    }

    /// Takes all tensors.
    public init(_ source: any TensorSource) throws {
        let w = Weights(source)
        conv1 = try NormalizedConvolution(w / "conv1", norm: w / "bn1", eps: 1e-5) { _, _ in .init(1) }
        prelu = try (w / "prelu").tensor("weight", conv1.outputs)
        var width = conv1.outputs
        layers = try (1...4).map { i in
            let w = w / "layer\(i)"
            let depth = (0..<128).prefix { (w / $0 / "conv1").has("weight") }.count
            return try (0..<depth).map { j in
                let block = try IResNetBlock(w / j, width, stride: j == 0 ? 2 : 1)
                width = block.outputs
                return block
            }
        }
        norm = try BatchNorm(w / "bn2", width, eps: 1e-5)
        let shape = try (w / "fc").shape("weight")
        let cells = (Self.side / 16) * (Self.side / 16)
        guard shape.count == 2, shape[1] == width * cells else {
            throw CheckpointError(
                "\(source): fc.weight has shape \(shape), which is not of a network for faces of 112×112 pixels")
        }
        fc = try Linear(w / "fc", shape[1], shape[0])
        features = try BatchNorm(w / "features", shape[0], eps: 1e-5)
        try w.requireAllTaken(ignoring: ["num_batches_tracked"])
    }

    /// Faces turned by ``FaceAlignment``, `side`×`side` each → [N, 512]; levels become (v − 127.5) / 127.5.
    public func callAsFunction(_ faces: [RGBImage]) -> Tensor {
        self(.stacked(faces.map { $0.levels.scaled(by: 1 / 127.5, plus: -1) }))
    }

    /// - Parameter pixels: [N, 112, 112, 3], -1 … 1
    func callAsFunction(_ pixels: Tensor) -> Tensor {
        var x = conv1(pixels).leaky(prelu)
        for layer in layers { for block in layer { x = block(x) } }
        // fc reads channel by channel.
        let flat = norm(x).channelsFirst().reshaped([pixels.shape[0], -1])
        return features(fc(flat)).normalizedRows()
    }
}

/// `IBasicBlock`: bn1 – conv1 – bn2 – PReLU – conv2 (which strides) – bn3, added to its input or to that input's
/// `downsample`.
struct IResNetBlock: Sendable {
    private let norm: BatchNorm
    private let conv1, conv2: NormalizedConvolution
    private let downsample: NormalizedConvolution?
    private let prelu: Tensor
    var outputs: Int { conv2.outputs }

    init(_ w: Weights, _ channels: Int, stride: Int) throws {
        norm = try BatchNorm(w / "bn1", channels, eps: 1e-5)
        conv1 = try NormalizedConvolution(w / "conv1", norm: w / "bn2", eps: 1e-5) { _, _ in .init(1) }
        prelu = try (w / "prelu").tensor("weight", conv1.outputs)
        conv2 = try NormalizedConvolution(w / "conv2", norm: w / "bn3", stride: stride, eps: 1e-5) { _, _ in .init(1) }
        let shortcut = w / "downsample"
        downsample =
            (shortcut / 0).has("weight")
            ? try NormalizedConvolution(shortcut / 0, norm: shortcut / 1, stride: stride, eps: 1e-5) { _, _ in .init(0)
            }
            : nil
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        conv2(conv1(norm(x)).leaky(prelu)) + (downsample.map { $0(x) } ?? x)
    }
}
