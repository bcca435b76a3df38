internal import Checkpoint
internal import NeuralNetwork
internal import TensorEngine

// facenet-pytorch's PNet, RNet and ONet, with its key names.

/// Convolution and PReLU; keys `conv{n}`, `prelu{n}`.
private struct SharpConvolution: Sendable {
    let conv: Conv2d
    let slopes: Tensor

    init(_ w: Weights, _ n: Int, _ inputs: Int, _ outputs: Int, kernel: Int = 3) throws {
        conv = try Conv2d(w / "conv\(n)", inputs, outputs, kernel: kernel)
        slopes = try (w / "prelu\(n)").tensor("weight", outputs)
    }

    func callAsFunction(_ x: Tensor) -> Tensor { conv(x).leaky(slopes) }
}

/// Linear layer and PReLU; keys `dense{n}`, `prelu{n}`.
private struct SharpLinear: Sendable {
    let dense: Linear
    let slopes: Tensor

    init(_ w: Weights, _ n: Int, _ inputs: Int, _ outputs: Int) throws {
        dense = try Linear(w / "dense\(n)", inputs, outputs)
        slopes = try (w / "prelu\(n)").tensor("weight", outputs)
    }

    func callAsFunction(_ x: Tensor) -> Tensor { dense(x).leaky(slopes) }
}

/// `PNet`: looks at every 12×12 square of a picture, two pixels apart.
struct ProposalNetwork: Sendable {
    private let conv1, conv2, conv3: SharpConvolution
    private let face, offsets: Conv2d

    init(_ source: any TensorSource) throws {
        let w = Weights(source)
        conv1 = try SharpConvolution(w, 1, 3, 10)
        conv2 = try SharpConvolution(w, 2, 10, 16)
        conv3 = try SharpConvolution(w, 3, 16, 32)
        face = try Conv2d(w / "conv4_1", 32, 2, kernel: 1)
        offsets = try Conv2d(w / "conv4_2", 32, 4, kernel: 1)
        try w.requireAllTaken()
    }

    /// Boxes in the picture that was scaled by `scale` to `pixels` [1, H, W, 3].
    func callAsFunction(_ pixels: Tensor, scale: Float, threshold: Float) -> [FaceBox] {
        let x = conv3(conv2(conv1(pixels).pooled(.maximum, window: 2, stride: 2, partial: true)))
        let (rows, columns) = (x.shape[1], x.shape[2])
        let scores = face(x).reshaped([rows * columns, 2]).softmax().scalars
        let moves = offsets(x).scalars
        return (0..<rows * columns).compactMap { i in
            guard scores[2 * i + 1] >= threshold else { return nil }
            let (x, y) = (Float(i % columns), Float(i / columns))
            let start = SIMD2((2 * x + 1) / scale, (2 * y + 1) / scale).rounded(.down)
            let end = SIMD2((2 * x + 12) / scale, (2 * y + 12) / scale).rounded(.down)
            return FaceBox(
                edges: SIMD4(lowHalf: start, highHalf: end), score: scores[2 * i + 1],
                offsets: SIMD4(moves[4 * i], moves[4 * i + 1], moves[4 * i + 2], moves[4 * i + 3]))
        }
    }
}

/// What the second and third network say of a crop.
struct FaceAnswer: Sendable {
    var probability: Float
    var offsets: SIMD4<Float>
    /// Five x, then five y, in widths and heights; the third network's only.
    var landmarks: [Float] = []
}

/// Maps [N, H, W, C] as rows of W·H·C numbers: the original was trained with pictures on their side.
private func sideways(_ x: Tensor) -> Tensor {
    let (n, h, w, c) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
    let places = (0..<n).flatMap { n0 in (0..<w).flatMap { column in (0..<h).map { (n0 * h + $0) * w + column } } }
    return x.reshaped([n * h * w, c]).gathered(places).reshaped([n, w * h * c])
}

/// Crops in batches of few different sizes: a kernel is prepared for each.
private func inBatches(_ crops: [Tensor], _ network: (Tensor) -> [FaceAnswer]) -> [FaceAnswer] {
    var answers: [FaceAnswer] = []
    var size = 64
    while answers.count < crops.count {
        let left = crops.count - answers.count
        if size > left {
            size /= 2
            continue
        }
        answers += network(.stacked(Array(crops[answers.count..<answers.count + size])))
    }
    return answers
}

private func answers(_ face: Tensor, _ offsets: Tensor, _ landmarks: Tensor? = nil) -> [FaceAnswer] {
    let (scores, moves, points) = (face.softmax().scalars, offsets.scalars, landmarks?.scalars)
    return (0..<face.shape[0]).map { i in
        FaceAnswer(
            probability: scores[2 * i + 1],
            offsets: SIMD4(moves[4 * i], moves[4 * i + 1], moves[4 * i + 2], moves[4 * i + 3]),
            landmarks: points.map { Array($0[10 * i..<10 * i + 10]) } ?? [])
    }
}

/// `RNet`: crops of 24×24.
struct RefinementNetwork: Sendable {
    private let conv1, conv2, conv3: SharpConvolution
    private let dense4: SharpLinear
    private let face, offsets: Linear

    init(_ source: any TensorSource) throws {
        let w = Weights(source)
        conv1 = try SharpConvolution(w, 1, 3, 28)
        conv2 = try SharpConvolution(w, 2, 28, 48)
        conv3 = try SharpConvolution(w, 3, 48, 64, kernel: 2)
        dense4 = try SharpLinear(w, 4, 576, 128)
        face = try Linear(w / "dense5_1", 128, 2)
        offsets = try Linear(w / "dense5_2", 128, 4)
        try w.requireAllTaken()
    }

    func callAsFunction(_ crops: [Tensor]) -> [FaceAnswer] {
        inBatches(crops) { pixels in
            var x = conv1(pixels).pooled(.maximum, window: 3, stride: 2, partial: true)
            x = conv2(x).pooled(.maximum, window: 3, stride: 2, partial: true)
            x = dense4(sideways(conv3(x)))
            return answers(face(x), offsets(x))
        }
    }
}

/// `ONet`: crops of 48×48.
struct OutputNetwork: Sendable {
    private let conv1, conv2, conv3, conv4: SharpConvolution
    private let dense5: SharpLinear
    private let face, offsets, landmarks: Linear

    init(_ source: any TensorSource) throws {
        let w = Weights(source)
        conv1 = try SharpConvolution(w, 1, 3, 32)
        conv2 = try SharpConvolution(w, 2, 32, 64)
        conv3 = try SharpConvolution(w, 3, 64, 64)
        conv4 = try SharpConvolution(w, 4, 64, 128, kernel: 2)
        dense5 = try SharpLinear(w, 5, 1152, 256)
        face = try Linear(w / "dense6_1", 256, 2)
        offsets = try Linear(w / "dense6_2", 256, 4)
        landmarks = try Linear(w / "dense6_3", 256, 10)
        try w.requireAllTaken()
    }

    func callAsFunction(_ crops: [Tensor]) -> [FaceAnswer] {
        inBatches(crops) { pixels in
            var x = conv1(pixels).pooled(.maximum, window: 3, stride: 2, partial: true)
            x = conv2(x).pooled(.maximum, window: 3, stride: 2, partial: true)
            x = conv3(x).pooled(.maximum, window: 2, stride: 2, partial: true)
            x = dense5(sideways(conv4(x)))
            return answers(face(x), offsets(x), landmarks(x))
        }
    }
}
