internal import Checkpoint
import Foundation

/// unet/config.json of Stable Diffusion 1.5's family, in diffusers' key names (`UNet2DConditionModel`).
public struct UNetConfig: Codable, Sendable {
    /// Side of the latent that the model was trained at.
    public var sampleSize: Int
    public var inChannels: Int
    public var outChannels: Int
    public var layersPerBlock: Int
    public var blockOutChannels: [Int]
    public var downBlockTypes: [String]
    public var upBlockTypes: [String]
    /// Width of the text states.
    public var crossAttentionDim: Int
    /// The NUMBER OF HEADS in each block, whatever the key says: in SD 1.5's file `attention_head_dim` is that.
    public var attentionHeads: [Int]
    public var normNumGroups: Int
    public var normEps: Float

    enum CodingKeys: String, CodingKey {
        case sampleSize = "sample_size"
        case inChannels = "in_channels"
        case outChannels = "out_channels"
        case layersPerBlock = "layers_per_block"
        case blockOutChannels = "block_out_channels"
        case downBlockTypes = "down_block_types"
        case upBlockTypes = "up_block_types"
        case crossAttentionDim = "cross_attention_dim"
        case attentionHeads = "attention_head_dim"
        case normNumGroups = "norm_num_groups"
        case normEps = "norm_eps"
    }

    /// Stable Diffusion 1.5: 860 million parameters.
    public static let sd15 = UNetConfig(
        sampleSize: 64, blockOutChannels: [320, 640, 1280, 1280], crossAttentionDim: 768, heads: 8, normNumGroups: 32)

    /// A model of SD 1.5's shape in another size.
    public init(
        sampleSize: Int, blockOutChannels: [Int], crossAttentionDim: Int, heads: Int, normNumGroups: Int,
        layersPerBlock: Int = 2, latentChannels: Int = 4
    ) {
        let plain = blockOutChannels.count - 1
        self.sampleSize = sampleSize
        (inChannels, outChannels) = (latentChannels, latentChannels)
        self.layersPerBlock = layersPerBlock
        self.blockOutChannels = blockOutChannels
        downBlockTypes = Array(repeating: "CrossAttnDownBlock2D", count: plain) + ["DownBlock2D"]
        upBlockTypes = ["UpBlock2D"] + Array(repeating: "CrossAttnUpBlock2D", count: plain)
        self.crossAttentionDim = crossAttentionDim
        attentionHeads = Array(repeating: heads, count: blockOutChannels.count)
        self.normNumGroups = normNumGroups
        normEps = 1e-5
    }

    /// Absent keys take diffusers' defaults. Block types and options that SD 1.5's family does not have are refused by
    /// name rather than ignored.
    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        sampleSize = try c.decodeIfPresent(Int.self, forKey: .sampleSize) ?? 64
        inChannels = try c.decodeIfPresent(Int.self, forKey: .inChannels) ?? 4
        outChannels = try c.decodeIfPresent(Int.self, forKey: .outChannels) ?? 4
        layersPerBlock = try c.decodeIfPresent(Int.self, forKey: .layersPerBlock) ?? 2
        blockOutChannels = try c.decodeIfPresent([Int].self, forKey: .blockOutChannels) ?? [320, 640, 1280, 1280]
        try requireSizes(in: "unet/config.json", ["block_out_channels": blockOutChannels])
        let depth = blockOutChannels.count
        downBlockTypes =
            try c.decodeIfPresent([String].self, forKey: .downBlockTypes)
            ?? Array(repeating: "CrossAttnDownBlock2D", count: depth - 1) + ["DownBlock2D"]
        upBlockTypes =
            try c.decodeIfPresent([String].self, forKey: .upBlockTypes)
            ?? ["UpBlock2D"] + Array(repeating: "CrossAttnUpBlock2D", count: depth - 1)
        crossAttentionDim = try c.decodeIfPresent(Int.self, forKey: .crossAttentionDim) ?? 1280
        if let one = try? c.decode(Int.self, forKey: .attentionHeads) {
            attentionHeads = Array(repeating: one, count: depth)
        } else {
            attentionHeads =
                try c.decodeIfPresent([Int].self, forKey: .attentionHeads) ?? Array(repeating: 8, count: depth)
        }
        normNumGroups = try c.decodeIfPresent(Int.self, forKey: .normNumGroups) ?? 32
        normEps = try c.decodeIfPresent(Float.self, forKey: .normEps) ?? 1e-5
        try validate()
        try OtherOptions(from: decoder).refuse()
    }

    private func validate() throws {
        let known = ["CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]
        for type in downBlockTypes + upBlockTypes where !known.contains(type) {
            throw CheckpointError(
                "unet/config.json: block type \(type) is not of Stable Diffusion 1.5's family (\(known.joined(separator: ", ")))"
            )
        }
        let depth = blockOutChannels.count
        guard depth > 0, downBlockTypes.count == depth, upBlockTypes.count == depth, attentionHeads.count == depth
        else {
            throw CheckpointError(
                "unet/config.json: block_out_channels, the block types and attention_head_dim differ in length")
        }
        try requireSizes(
            in: "unet/config.json",
            [
                "in_channels": [inChannels], "out_channels": [outChannels], "cross_attention_dim": [crossAttentionDim],
                "attention_head_dim": attentionHeads, "norm_num_groups": [normNumGroups],
            ])
        try requireSizes(in: "unet/config.json", ["sample_size": [sampleSize]], upTo: 4096)
        try requireSizes(in: "unet/config.json", ["layers_per_block": [layersPerBlock]], upTo: 64)
        if let odd = blockOutChannels.first(where: { $0 % normNumGroups != 0 }) {
            throw CheckpointError(
                "unet/config.json: norm_num_groups \(normNumGroups) does not divide \(odd) of block_out_channels")
        }
        for (heads, channels) in zip(attentionHeads, blockOutChannels) where channels % heads != 0 {
            throw CheckpointError(
                "unet/config.json: attention_head_dim \(heads) (the number of heads) does not divide \(channels) channels"
            )
        }
    }
}

/// Options of `UNet2DConditionModel` that change the arithmetic and that this implementation does not have.
private struct OtherOptions {
    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }
    private let container: KeyedDecodingContainer<Key>

    init(from decoder: any Decoder) throws { container = try decoder.container(keyedBy: Key.self) }

    func refuse() throws {
        for name in ["addition_embed_type", "class_embed_type", "time_cond_proj_dim", "num_class_embeds"] {
            guard try !container.contains(Key(name)) || container.decodeNil(forKey: Key(name)) else {
                throw CheckpointError(
                    "unet/config.json: sets \(name), so it is not of Stable Diffusion 1.5's kind (Stable Diffusion XL, an "
                        + "upscaler or a distilled model); use a 1.x model")
            }
        }
        for (name, wanted) in [
            ("act_fn", "silu"), ("mid_block_type", "UNetMidBlock2DCrossAttn"), ("resnet_time_scale_shift", "default"),
            ("time_embedding_type", "positional"),
        ] {
            if let value = try container.decodeIfPresent(String.self, forKey: Key(name)), value != wanted {
                throw CheckpointError("unet/config.json: \(name) is \(value), only \(wanted) is supported")
            }
        }
        for (name, wanted) in [
            ("center_input_sample", false), ("flip_sin_to_cos", true), ("dual_cross_attention", false),
        ] {
            if let value = try container.decodeIfPresent(Bool.self, forKey: Key(name)), value != wanted {
                throw CheckpointError("unet/config.json: \(name) is \(value), only \(wanted) is supported")
            }
        }
        for (name, wanted) in [("freq_shift", 0.0), ("mid_block_scale_factor", 1), ("downsample_padding", 1)] {
            if let value = try container.decodeIfPresent(Double.self, forKey: Key(name)), value != wanted {
                throw CheckpointError("unet/config.json: \(name) is \(value), only \(wanted) is supported")
            }
        }
    }
}
