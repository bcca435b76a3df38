public import Checkpoint
public import ImageIO
internal import NeuralNetwork
public import TensorEngine

/// FaceNet's network (Schroff et al. 2015, in the form of Szegedy et al. 2016): a face of 160×160 → 512 numbers of length 1.
/// Matches facenet-pytorch's `InceptionResnetV1`, whose key names it reads (`20180402-114759-vggface2.pt` and
/// `20180408-102900-casia-webface.pt`); the classifier `logits` is left out.
public struct InceptionResnetV1: Sendable {
    /// Side of its input in pixels.
    public static let side = 160

    let stem: [FaceConvolution]
    let after: [FaceConvolution]
    let repeat1, repeat2, repeat3: [FaceResidual]
    let mixed6a, mixed7a: FaceReduction
    let block8: FaceResidual
    let lastLinear: Linear
    let lastNorm: BatchNorm

    /// Whether these are the network's weights, by their names.
    public static func isRecognised(_ source: any TensorSource) -> Bool {
        source.shape(of: "conv2d_1a.conv.weight") != nil && source.shape(of: "last_linear.weight") != nil
    }

    /// Takes all tensors but the classifier's.
    public init(_ source: any TensorSource) throws {
        let w = Weights(source)
        stem = [
            try FaceConvolution(w / "conv2d_1a", stride: 2), try FaceConvolution(w / "conv2d_2a"),
            try FaceConvolution(w / "conv2d_2b", isPadded: true),
        ]
        after = [
            try FaceConvolution(w / "conv2d_3b"), try FaceConvolution(w / "conv2d_4a"),
            try FaceConvolution(w / "conv2d_4b", stride: 2),
        ]
        repeat1 = try (0..<5).map { try FaceResidual(w / "repeat_1" / $0, scale: 0.17) }
        mixed6a = try FaceReduction(w / "mixed_6a", [[2], [1, 1, 2]])
        repeat2 = try (0..<10).map { try FaceResidual(w / "repeat_2" / $0, scale: 0.10) }
        mixed7a = try FaceReduction(w / "mixed_7a", [[1, 2], [1, 2], [1, 1, 2]])
        repeat3 = try (0..<5).map { try FaceResidual(w / "repeat_3" / $0, scale: 0.20) }
        block8 = try FaceResidual(w / "block8", scale: 1, isLast: true)
        let shape = try (w / "last_linear").shape("weight")
        guard shape.count == 2 else { throw CheckpointError("last_linear.weight has shape \(shape)") }
        lastLinear = try Linear(w / "last_linear", shape[1], shape[0], bias: false)
        lastNorm = try BatchNorm(w / "last_bn", shape[0], eps: 1e-3)
        try w.requireAllTaken(ignoring: ["num_batches_tracked", "logits.weight", "logits.bias"])
    }

    /// Faces cut out by ``MTCNN``, `side`×`side` each → [N, 512]; levels become (v − 127.5) / 128, as facenet-pytorch's
    /// `fixed_image_standardization`.
    public func callAsFunction(_ faces: [RGBImage]) -> Tensor {
        self(.stacked(faces.map { $0.levels.scaled(by: 1 / 128, plus: -127.5 / 128) }))
    }

    /// - Parameter pixels: [N, H, W, 3], (v − 127.5) / 128
    func callAsFunction(_ pixels: Tensor) -> Tensor {
        var x = stem.reduce(pixels) { $1($0) }.pooled(.maximum, window: 3, stride: 2)
        x = after.reduce(x) { $1($0) }
        x = repeat1.reduce(x) { $1($0) }
        x = mixed6a(x)
        x = repeat2.reduce(x) { $1($0) }
        x = mixed7a(x)
        x = repeat3.reduce(x) { $1($0) }
        x = block8(x)
        let pooled = x.reshaped([x.shape[0], -1, x.shape[3]]).meanOverTokens()
        return lastNorm(lastLinear(pooled)).normalizedRows()
    }
}

extension RGBImage {
    /// Levels as they are, [1, H, W, 3].
    var levels: Tensor { Tensor(pixels.map(Float.init), shape: [1, height, width, 3]) }
}

// MARK: - Blocks

/// facenet-pytorch's `BasicConv2d`: convolution, batch normalisation (eps 1e-3), ReLU.
struct FaceConvolution: Sendable {
    private let layer: NormalizedConvolution
    var outputs: Int { layer.outputs }

    /// - Parameter isPadded: whether the map keeps its size
    init(_ w: Weights, stride: Int = 1, isPadded: Bool = false) throws {
        layer = try NormalizedConvolution(w / "conv", norm: w / "bn", stride: stride, eps: 1e-3) { height, width in
            guard isPadded else { return .init(0) }
            return .init(top: height / 2, left: width / 2, bottom: height / 2, right: width / 2)
        }
    }

    func callAsFunction(_ x: Tensor) -> Tensor { layer(x).activated(.relu) }
}

extension Tensor {
    /// Channels of several maps, one after the other.
    static func joined(_ maps: [Tensor]) -> Tensor { maps.dropFirst().reduce(maps[0]) { .concatenated($0, $1) } }
}

/// `Block35`, `Block17` and `Block8`: x + scale · conv2d([branch0(x), branch1(x), …]), then ReLU.
struct FaceResidual: Sendable {
    private let branches: [[FaceConvolution]]
    private let out: Conv2d
    private let scale: Float
    private let isLast: Bool

    /// - Parameter isLast: without the final ReLU
    init(_ w: Weights, scale: Float, isLast: Bool = false) throws {
        var branches = [[try FaceConvolution(w / "branch0")]]
        for name in ["branch1", "branch2"] {
            let count = (0..<3).prefix { (w / name / $0 / "conv").has("weight") }.count
            guard count > 0 else { continue }
            branches.append(try (0..<count).map { try FaceConvolution(w / name / $0, isPadded: true) })
        }
        let inputs = branches.reduce(0) { $0 + $1[$1.count - 1].outputs }
        out = try Conv2d(w / "conv2d", inputs, (w / "conv2d").shape("bias", axes: 1)[0], kernel: 1)
        (self.branches, self.scale, self.isLast) = (branches, scale, isLast)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let mixed = out(.joined(branches.map { branch in branch.reduce(x) { $1($0) } }))
        let sum = x.blended(1, scale, with: mixed)
        return isLast ? sum : sum.activated(.relu)
    }
}

/// `Mixed_6a` and `Mixed_7a`: branches and a max pool, side by side, at half the size.
struct FaceReduction: Sendable {
    private let branches: [[FaceConvolution]]

    /// - Parameter strides: of each branch's convolutions; those of stride 1 keep the size
    init(_ w: Weights, _ strides: [[Int]]) throws {
        branches = try strides.enumerated().map { i, strides in
            let w = w / "branch\(i)"
            return try strides.enumerated().map { j, stride in
                try FaceConvolution(strides.count == 1 ? w : w / j, stride: stride, isPadded: stride == 1)
            }
        }
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        .joined(branches.map { branch in branch.reduce(x) { $1($0) } } + [x.pooled(.maximum, window: 3, stride: 2)])
    }
}
