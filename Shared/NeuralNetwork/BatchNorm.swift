public import Checkpoint
public import TensorEngine

/// Batch normalisation with the statistics of the checkpoint, a scale and a shift for every channel. Matches
/// `torch.nn.BatchNorm1d` and `2d` in inference mode; keys `weight`, `bias`, `running_mean`, `running_var` [C].
public struct BatchNorm: Sendable {
    let scale, shift: [Float]
    private let scales, shifts: Tensor

    /// Takes the four tensors.
    public init(_ w: Weights, _ channels: Int, eps: Float) throws {
        func numbers(_ name: String) throws -> [Float] { try w.tensor(name, channels).scalars }
        let (gamma, beta) = (try numbers("weight"), try numbers("bias"))
        let (mean, variance) = (try numbers("running_mean"), try numbers("running_var"))
        guard variance.allSatisfy({ $0 + eps > 0 }) else {
            throw CheckpointError("\(w.path).running_var has negative variances; the file is damaged")
        }
        let scale = (0..<channels).map { gamma[$0] / (variance[$0] + eps).squareRoot() }
        self.scale = scale
        shift = (0..<channels).map { beta[$0] - mean[$0] * scale[$0] }
        (scales, shifts) = (Tensor(scale, shape: [channels]), Tensor(shift, shape: [channels]))
    }

    /// [..., C] → [..., C]
    public func callAsFunction(_ x: Tensor) -> Tensor { x.scaledPerChannel(by: scales, plus: shifts) }
}

/// A convolution without a bias and the batch normalisation behind it, folded into one. Its sizes are the checkpoint's.
public struct NormalizedConvolution: Sendable {
    /// Channels in and out.
    public let inputs, outputs: Int
    private let filter: ConvolutionFilter

    /// - Parameters:
    ///   - convolution: has `weight` [out, in, kernel height, kernel width]
    ///   - norm: has what ``BatchNorm`` reads
    ///   - padding: by the kernel's height and width
    public init(
        _ convolution: Weights, norm: Weights, stride: Int = 1, eps: Float,
        padding: (_ height: Int, _ width: Int) -> ConvolutionFilter.Padding
    ) throws {
        let shape = try convolution.shape("weight")
        guard shape.count == 4 else {
            throw CheckpointError("\(convolution.path).weight has shape \(shape), a convolution's has four axes")
        }
        let kernel = try convolution.tensor("weight", of: shape).scalars
        let norm = try BatchNorm(norm, shape[0], eps: eps)
        let each = shape[1] * shape[2] * shape[3]
        let scaled = kernel.indices.map { kernel[$0] * norm.scale[$0 / each] }
        (inputs, outputs) = (shape[1], shape[0])
        filter = ConvolutionFilter(
            weight: Tensor(scaled, shape: shape), bias: Tensor(norm.shift, shape: [shape[0]]), stride: stride,
            padding: padding(shape[2], shape[3]))
    }

    /// [N, H, W, in] → [N, H', W', out]
    public func callAsFunction(_ x: Tensor) -> Tensor { x.convolved(filter) }
}
