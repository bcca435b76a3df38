internal import Checkpoint
internal import NeuralNetwork
internal import TensorEngine

/// What one pass through the UNet carries to every block.
struct UNetPass {
    /// silu of the time embedding [N, T], N as in the conditioning.
    let time: Tensor
    let conditioning: Conditioning
    /// Whether layers are computed again in the backward pass instead of being kept.
    var checkpoints = false
    /// Told every module's output, by name; for golden tests.
    let observe: ((String, Tensor) -> Void)?

    /// x with a row for each row of the conditioning. Rows of one latent are the same until the first cross-attention,
    /// so they are computed once until there.
    func widened(_ x: Tensor) -> Tensor {
        let rows = conditioning.rows
        return x.shape[0] == rows ? x : .stacked(Array(repeating: x, count: rows / x.shape[0]))
    }

    func observed(_ name: String, _ x: Tensor) -> Tensor {
        observe?(name, x)
        return x
    }

    /// x + the module `name`, which adds its residual by itself; an observer wants to see the module alone.
    func adding(_ x: Tensor, _ name: String, _ module: (_ residual: Tensor?) -> Tensor) -> Tensor {
        observe == nil ? module(x) : x + observed(name, module(nil))
    }

    /// A layer's output; with gradient checkpointing only its input is kept for the backward pass.
    func layer(_ x: Tensor, _ body: @escaping @Sendable (Tensor, UNetPass) -> Tensor) -> Tensor {
        guard checkpoints else { return body(x, self) }
        let (time, conditioning) = (time, conditioning)
        return .checkpointed([x]) { body($0[0], UNetPass(time: time, conditioning: conditioning, observe: nil)) }
    }
}

/// Sizes that all blocks share.
struct UNetSizes {
    let time, context, groups: Int
    let eps: Float
}

/// Residual blocks, each followed by a transformer where the block has attention, then a downsampler.
/// Matches diffusers `DownBlock2D` and `CrossAttnDownBlock2D`; keys `down_blocks.{i}.*`.
struct DownBlock: Sendable {
    let resnets: [ResnetBlock2D]
    let attentions: [Transformer2DModel]
    let downsampler: Downsample2D?
    let name: String

    init(
        _ w: Weights, _ cin: Int, _ cout: Int, layers: Int, heads: Int?, downsamples: Bool, _ sizes: UNetSizes
    ) throws {
        resnets = try (0..<layers).map { j in
            try ResnetBlock2D(
                w / "resnets" / j, j == 0 ? cin : cout, cout, time: sizes.time, groups: sizes.groups, eps: sizes.eps)
        }
        attentions =
            try heads.map { heads in
                try (0..<layers).map { j in
                    try Transformer2DModel(
                        w / "attentions" / j, cout, context: sizes.context, heads: heads, groups: sizes.groups)
                }
            } ?? []
        downsampler = downsamples ? try Downsample2D(w / "downsamplers" / 0, cout, padding: .init(1)) : nil
        name = w.path
    }

    /// Appends every layer's output to `skips`, for the up blocks.
    func callAsFunction(_ x: Tensor, _ skips: inout [Tensor], _ pass: UNetPass) -> Tensor {
        var x = x
        for (j, resnet) in resnets.enumerated() {
            x = pass.observed(resnet.name, pass.layer(x) { resnet($0, time: $1.time) })
            if !attentions.isEmpty { x = pass.layer(x, attentions[j].callAsFunction) }
            skips.append(pass.widened(x))
        }
        if let downsampler {
            x = pass.observed(downsampler.name, downsampler(x))
            skips.append(pass.widened(x))
        }
        return pass.observed(name, x)
    }
}

/// Residual block, transformer, residual block. Matches diffusers `UNetMidBlock2DCrossAttn`; keys `mid_block.*`.
struct MidBlock: Sendable {
    let resnets: [ResnetBlock2D]
    let attention: Transformer2DModel
    let name: String

    init(_ w: Weights, _ channels: Int, heads: Int, _ sizes: UNetSizes) throws {
        resnets = try (0..<2).map { j in
            try ResnetBlock2D(
                w / "resnets" / j, channels, channels, time: sizes.time, groups: sizes.groups, eps: sizes.eps)
        }
        attention = try Transformer2DModel(
            w / "attentions" / 0, channels, context: sizes.context, heads: heads, groups: sizes.groups)
        name = w.path
    }

    func callAsFunction(_ x: Tensor, _ pass: UNetPass) -> Tensor {
        let (first, last) = (resnets[0], resnets[1])
        let h = pass.layer(pass.layer(x) { first($0, time: $1.time) }, attention.callAsFunction)
        return pass.observed(name, pass.layer(h) { last($0, time: $1.time) })
    }
}

/// Residual blocks that take a skip each, transformers, then an upsampler.
/// Matches diffusers `UpBlock2D` and `CrossAttnUpBlock2D`; keys `up_blocks.{i}.*`.
struct UpBlock: Sendable {
    let resnets: [ResnetBlock2D]
    let attentions: [Transformer2DModel]
    let upsampler: Upsample2D?
    let name: String

    /// - Parameters:
    ///   - previous: channels of the hidden state that comes in
    ///   - skips: channels of the skips, in the order they are taken
    init(
        _ w: Weights, previous: Int, _ cout: Int, skips: [Int], heads: Int?, upsamples: Bool, _ sizes: UNetSizes
    ) throws {
        resnets = try skips.enumerated().map { j, skip in
            try ResnetBlock2D(
                w / "resnets" / j, (j == 0 ? previous : cout) + skip, cout, time: sizes.time, groups: sizes.groups,
                eps: sizes.eps)
        }
        attentions =
            try heads.map { heads in
                try skips.indices.map { j in
                    try Transformer2DModel(
                        w / "attentions" / j, cout, context: sizes.context, heads: heads, groups: sizes.groups)
                }
            } ?? []
        upsampler = upsamples ? try Upsample2D(w / "upsamplers" / 0, cout) : nil
        name = w.path
    }

    func callAsFunction(_ x: Tensor, _ skips: inout [Tensor], _ pass: UNetPass) -> Tensor {
        var x = x
        for (j, resnet) in resnets.enumerated() {
            x = pass.layer(.concatenated(x, skips.removeLast())) { resnet($0, time: $1.time) }
            if !attentions.isEmpty { x = pass.layer(x, attentions[j].callAsFunction) }
        }
        // Sides that eight does not divide: grow to the next skip's size, as diffusers' forward_upsample_size does.
        if let upsampler { x = upsampler(x, to: skips.last.map { ($0.shape[1], $0.shape[2]) }) }
        return pass.observed(name, x)
    }
}
