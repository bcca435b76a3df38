internal import Checkpoint
internal import NeuralNetwork
internal import TensorEngine

/// Matches diffusers `FeedForward` with GEGLU; keys `net.0.proj`, `net.2`.
///
///     [a | g] = proj(x);  y = net.2(a · gelu(g))
struct FeedForward: Sendable {
    let proj, out: Linear

    init(_ w: Weights, _ features: Int) throws {
        proj = try Linear(w / "net" / 0 / "proj", features, 8 * features)
        out = try Linear(w / "net" / 2, 4 * features, features)
    }

    /// - Parameters:
    ///   - residual: added to the result
    ///   - reader: of the result with its residual
    func callAsFunction(_ x: Tensor, residual: Tensor? = nil, for reader: Reader = .any) -> Tensor {
        out(proj.gated(x, for: .product), residual: residual, for: residual == nil ? .any : reader)
    }
}

/// Matches diffusers `BasicTransformerBlock`; keys `norm1`, `attn1`, `norm2`, `attn2`, `norm3`, `ff`.
///
///     x = x + attn1(norm1(x));  x = x + attn2(norm2(x), text and image);  x = x + ff(norm3(x))
struct BasicTransformerBlock: Sendable {
    let norm1, norm2, norm3: LayerNorm
    let attn1, attn2: Attention
    let ff: FeedForward
    let name: String

    init(_ w: Weights, _ features: Int, context: Int, heads: Int) throws {
        norm1 = try LayerNorm(w / "norm1", features)
        norm2 = try LayerNorm(w / "norm2", features)
        norm3 = try LayerNorm(w / "norm3", features)
        attn1 = try Attention(w / "attn1", features, context: features, heads: heads)
        attn2 = try Attention(w / "attn2", features, context: context, heads: heads)
        ff = try FeedForward(w / "ff", features)
        name = w.path
    }

    func callAsFunction(_ x: Tensor, _ pass: UNetPass) -> Tensor {
        let x = pass.widened(pass.adding(x, attn1.name) { attn1(norm1(x, for: .product), residual: $0) })
        let y = pass.adding(x, attn2.name) { attn2(norm2(x, for: .product), pass.conditioning, residual: $0) }
        // Nothing but `proj_out` reads the sum.
        return pass.adding(y, name + ".ff") { ff(norm3(y, for: .product), residual: $0, for: .product) }
    }
}

/// Matches diffusers `Transformer2DModel` on pictures; keys `norm`, `proj_in`, `transformer_blocks.{i}`, `proj_out`.
///
/// `proj_in` and `proj_out` are 1×1 convolutions in SD 1.5's file; on channels-last tokens that is a linear layer.
/// Shapes: x [N, H, W, C] → [N, H, W, C].
struct Transformer2DModel: Sendable {
    let norm: GroupNorm
    let projIn, projOut: Linear
    let transformerBlocks: [BasicTransformerBlock]
    let name: String

    init(_ w: Weights, _ channels: Int, context: Int, heads: Int, groups: Int) throws {
        norm = try GroupNorm(w / "norm", groups: groups, channels: channels, eps: 1e-6)
        projIn = try Linear(w / "proj_in", channels, channels)
        transformerBlocks = [
            try BasicTransformerBlock(w / "transformer_blocks" / 0, channels, context: context, heads: heads)
        ]
        projOut = try Linear(w / "proj_out", channels, channels)
        name = w.path
    }

    func callAsFunction(_ x: Tensor, _ pass: UNetPass) -> Tensor {
        let (n, c) = (x.shape[0], x.shape[3])
        var tokens = projIn(norm(x, for: .product)).reshaped([n, -1, c])
        for block in transformerBlocks { tokens = block(tokens, pass) }
        let x = pass.widened(x)
        return pass.observed(name, projOut(tokens, residual: x.reshaped(tokens.shape)).reshaped(x.shape))
    }
}
