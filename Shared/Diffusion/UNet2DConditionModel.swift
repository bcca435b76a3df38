public import Checkpoint
import Foundation
internal import NeuralNetwork
public import TensorEngine

/// Stable Diffusion's denoiser ε(x, t, text). Matches diffusers `UNet2DConditionModel` with SD 1.5's block types.
///
/// Shapes: sample [N, H, W, 4], time steps N, text states [N, 77, cross_attention_dim] → [N, H, W, 4].
public struct UNet2DConditionModel: Sendable {
    /// The sizes it was made with.
    public let config: UNetConfig
    let timeEmbedding: (linear1: Linear, linear2: Linear)
    let convIn, convOut: Conv2d
    let downBlocks: [DownBlock]
    let midBlock: MidBlock
    let upBlocks: [UpBlock]
    let convNormOut: GroupNorm
    /// Trade time for memory when training: layers' insides are computed again in the backward pass (diffusers
    /// `enable_gradient_checkpointing`). Gradients are the same.
    public var gradientCheckpointing = false

    /// Takes all of a UNet's tensors.
    public init(_ w: Weights, _ config: UNetConfig) throws {
        let channels = config.blockOutChannels
        let (first, last) = (channels[0], channels[channels.count - 1])
        let sizes = UNetSizes(
            time: 4 * first, context: config.crossAttentionDim, groups: config.normNumGroups, eps: config.normEps)
        self.config = config
        timeEmbedding = (
            try Linear(w / "time_embedding" / "linear_1", first, sizes.time),
            try Linear(w / "time_embedding" / "linear_2", sizes.time, sizes.time)
        )
        convIn = try Conv2d(w / "conv_in", config.inChannels, first, kernel: 3, padding: .init(1))
        downBlocks = try channels.indices.map { i in
            try DownBlock(
                w / "down_blocks" / i, channels[max(i - 1, 0)], channels[i], layers: config.layersPerBlock,
                heads: config.downBlockTypes[i].hasPrefix("CrossAttn") ? config.attentionHeads[i] : nil,
                downsamples: i < channels.count - 1, sizes)
        }
        midBlock = try MidBlock(
            w / "mid_block", last, heads: config.attentionHeads[channels.count - 1], sizes)
        let skips = Self.skipChannels(config)
        let widths = Array(channels.reversed())
        let layers = config.layersPerBlock + 1
        upBlocks = try widths.indices.map { i in
            try UpBlock(
                w / "up_blocks" / i, previous: widths[max(i - 1, 0)], widths[i],
                skips: Array(skips[i * layers..<(i + 1) * layers]),
                heads: config.upBlockTypes[i].hasPrefix("CrossAttn")
                    ? config.attentionHeads[widths.count - 1 - i] : nil,
                upsamples: i < widths.count - 1, sizes)
        }
        convNormOut = try GroupNorm(
            w / "conv_norm_out", groups: config.normNumGroups, channels: first, eps: config.normEps)
        convOut = try Conv2d(w / "conv_out", first, config.outChannels, kernel: 3, padding: .init(1))
    }

    /// Channels of the down path's outputs, last first: the order in which the up blocks take them.
    private static func skipChannels(_ config: UNetConfig) -> [Int] {
        var channels = [config.blockOutChannels[0]]
        for (i, width) in config.blockOutChannels.enumerated() {
            channels += Array(repeating: width, count: config.layersPerBlock)
            if i < config.blockOutChannels.count - 1 { channels.append(width) }
        }
        return channels.reversed()
    }

    /// The keys and values of every cross-attention, for as many passes as are wanted.
    ///
    /// - Parameters:
    ///   - encoderHiddenStates: text states [N, T, cross_attention_dim]
    ///   - adapter: image keys and values for the same N rows
    public func conditioning(_ encoderHiddenStates: Tensor, adapter: (any CrossAttentionAdapter)? = nil) -> Conditioning
    {
        let entries = crossAttentions.map { ($0.name, $0.conditioningEntry(encoderHiddenStates, adapter)) }
        return Conditioning(
            entries: Dictionary(uniqueKeysWithValues: entries), rows: encoderHiddenStates.shape[0])
    }

    /// Names and widths of the cross-attentions in diffusers' order of attention processors: down, up, mid.
    public var crossAttentionWidths: [(name: String, hiddenSize: Int)] {
        let blocks =
            zip(downBlocks, config.blockOutChannels).map { ($0.attentions, $1) }
            + zip(upBlocks, config.blockOutChannels.reversed()).map { ($0.attentions, $1) }
            + [([midBlock.attention], config.blockOutChannels[config.blockOutChannels.count - 1])]
        return blocks.flatMap { attentions, width in
            attentions.flatMap { $0.transformerBlocks.map { ($0.attn2.name, width) } }
        }
    }

    private var crossAttentions: [Attention] {
        (downBlocks.flatMap(\.attentions) + upBlocks.flatMap(\.attentions) + [midBlock.attention])
            .flatMap { $0.transformerBlocks.map(\.attn2) }
    }

    /// Predicts the noise in `sample`.
    ///
    /// - Parameters:
    ///   - sample: [N, H, W, in_channels]; or one row, which then stands for every row of the conditioning: what does not
    ///     depend on the text is computed only once
    ///   - timesteps: one for each row of the sample
    ///   - conditioning: from ``conditioning(_:adapter:)``
    ///   - observe: is told module outputs by name (channels last)
    public func callAsFunction(
        _ sample: Tensor, timesteps: [Float], _ conditioning: Conditioning,
        observe: ((String, Tensor) -> Void)? = nil
    ) -> Tensor {
        precondition(
            sample.shape[0] == timesteps.count && [1, conditioning.rows].contains(timesteps.count),
            "\(sample.shape[0]) rows, \(timesteps.count) time steps, conditioning of \(conditioning.rows)")
        // 1. time
        let projected = Self.timeProjection(timesteps, width: config.blockOutChannels[0])
        let time = timeEmbedding.linear2(timeEmbedding.linear1(projected, activation: .silu))
        observe?("time_proj", projected)
        observe?("time_embedding", time)
        let silu = time.activated(.silu)
        let pass = UNetPass(
            time: silu.shape[0] == conditioning.rows
                ? silu : .stacked(Array(repeating: silu, count: conditioning.rows / silu.shape[0])),
            conditioning: conditioning, checkpoints: gradientCheckpointing,
            observe: observe)

        // 2. pre-process
        var x = pass.observed("conv_in", convIn(sample))

        // 3. down
        var skips = [pass.widened(x)]
        for block in downBlocks { x = block(x, &skips, pass) }

        // 4. mid
        x = midBlock(x, pass)

        // 5. up
        for block in upBlocks { x = block(x, &skips, pass) }

        // 6. post-process
        if let observe { observe("conv_norm_out", convNormOut(x)) }
        // What this layer rounds is seen whole: half as much as all others together let through, for 0.2 % of the time.
        return Precision.with(.f32) { convOut(x, after: convNormOut) }
    }

    /// Sinusoids of the time step: [cos(t·f) | sin(t·f)], f_i = 10000^(−i / half) (diffusers `Timesteps` with
    /// flip_sin_to_cos true, freq_shift 0) → [N, width].
    static func timeProjection(_ timesteps: [Float], width: Int) -> Tensor {
        let half = width / 2
        let frequencies = (0..<half).map { Float(exp(-log(10000) * Double($0) / Double(half))) }
        let rows = timesteps.map { t in
            frequencies.map { cos(t * $0) } + frequencies.map { sin(t * $0) }
        }
        return Tensor(rows.flatMap { $0 }, shape: [timesteps.count, width])
    }
}
