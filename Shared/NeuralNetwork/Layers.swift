public import Checkpoint
public import TensorEngine

/// x Wᵀ + b over the last axis. Matches `torch.nn.Linear`; keys `weight` [out, in], `bias` [out].
public struct Linear: Sendable {
    let weight: Tensor
    let bias: Tensor?

    /// Takes `weight` and, unless `bias` is false, `bias`.
    public init(_ w: Weights, _ inputs: Int, _ outputs: Int, bias: Bool = true) throws {
        weight = try w.tensor("weight", outputs, inputs)
        self.bias = bias ? try w.tensor("bias", outputs) : nil
    }

    /// Of part of another's weight [out, in], without a bias.
    public init(weight: Tensor) { (self.weight, bias) = (weight, nil) }

    /// [..., in] → [..., out], then `activation`, then plus `residual` [..., out], for `reader`.
    public func callAsFunction(
        _ x: Tensor, activation: Activation? = nil, residual: Tensor? = nil, for reader: Reader = .any
    ) -> Tensor {
        x.linear(weight, bias: bias, activation: activation, residual: residual, for: reader)
    }

    /// [..., in] → [..., out / 2]: half of the outputs times gelu of the other half (GEGLU).
    public func gated(_ x: Tensor, for reader: Reader = .any) -> Tensor {
        x.gatedLinear(weight, bias: bias, for: reader)
    }
}

/// A 2-d convolution over [N, H, W, C]. Matches `torch.nn.Conv2d`; keys `weight` [out, in, kernel, kernel], `bias`.
public struct Conv2d: Sendable {
    let filter: ConvolutionFilter

    /// Square kernel, the same stride both ways; `padding` may differ by side.
    public init(
        _ w: Weights, _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1,
        padding: ConvolutionFilter.Padding = .init(0), bias: Bool = true
    ) throws {
        filter = ConvolutionFilter(
            weight: try w.tensor("weight", outputs, inputs, kernel, kernel),
            bias: bias ? try w.tensor("bias", outputs) : nil, stride: stride, padding: padding)
    }

    /// [N, H, W, in] → [N, H', W', out], plus `perPicture` [N, out] and `residual` [N, H', W', out], for `reader`.
    ///
    /// - Parameters:
    ///   - norm: comes first, with SiLU, as before the convolutions of every residual block
    ///   - upsampled: whether nearest-neighbour upsampling to twice the size does
    public func callAsFunction(
        _ x: Tensor, after norm: GroupNorm? = nil, upsampled: Bool = false, perPicture: Tensor? = nil,
        residual: Tensor? = nil, for reader: Reader = .any
    ) -> Tensor {
        x.convolved(
            filter, after: norm?.normalization(silu: true), upsampled: upsampled, perPicture: perPicture,
            residual: residual, for: reader)
    }
}

/// Matches `torch.nn.GroupNorm` on channels-last tensors; keys `weight`, `bias` [C].
public struct GroupNorm: Sendable {
    let weight: Tensor
    let bias: Tensor
    let groups: Int
    let eps: Float

    /// `groups` must divide `channels`.
    public init(_ w: Weights, groups: Int, channels: Int, eps: Float) throws {
        guard groups > 0, channels % groups == 0 else {
            throw CheckpointError("\(w.path): norm_num_groups \(groups) does not divide \(channels) channels")
        }
        weight = try w.tensor("weight", channels)
        bias = try w.tensor("bias", channels)
        (self.groups, self.eps) = (groups, eps)
    }

    func normalization(silu: Bool) -> GroupNormalization {
        GroupNormalization(groups: groups, weight: weight, bias: bias, eps: eps, silu: silu)
    }

    /// Normalises [N, ..., C] for `reader`; with `silu` the activation that follows it in every residual block.
    public func callAsFunction(_ x: Tensor, silu: Bool = false, for reader: Reader = .any) -> Tensor {
        x.groupNormalized(normalization(silu: silu), for: reader)
    }
}

/// Matches `torch.nn.LayerNorm` over the last axis; keys `weight`, `bias` [D].
public struct LayerNorm: Sendable {
    let weight: Tensor
    let bias: Tensor
    let eps: Float

    /// Takes `weight` and `bias`.
    public init(_ w: Weights, _ features: Int, eps: Float = 1e-5) throws {
        weight = try w.tensor("weight", features)
        bias = try w.tensor("bias", features)
        self.eps = eps
    }

    /// Normalises the last axis, for `reader`.
    public func callAsFunction(_ x: Tensor, for reader: Reader = .any) -> Tensor {
        x.layerNormalized(weight: weight, bias: bias, eps: eps, for: reader)
    }
}

/// A table of vectors. Matches `torch.nn.Embedding`; key `weight` [entries, D].
public struct Embedding: Sendable {
    let weight: Tensor

    /// Takes `weight`.
    public init(_ w: Weights, _ entries: Int, _ features: Int) throws {
        weight = try w.tensor("weight", entries, features)
    }

    /// Rows `indices` → [indices, D].
    public func callAsFunction(_ indices: [Int]) -> Tensor { weight.gathered(indices) }

    /// The first `count` rows.
    public func prefix(_ count: Int) -> Tensor { weight[0..<count] }
}
