public import Checkpoint
internal import NeuralNetwork
public import TensorEngine

/// vae/config.json in diffusers' key names (`AutoencoderKL`).
public struct VAEConfig: Codable, Sendable {
    public var inChannels = 3
    public var outChannels = 3
    public var blockOutChannels = [128, 256, 512, 512]
    public var layersPerBlock = 2
    public var latentChannels = 4
    public var normNumGroups = 32
    /// The latent that the UNet sees is this times the encoder's sample.
    public var scalingFactor: Float = 0.18215

    enum CodingKeys: String, CodingKey {
        case inChannels = "in_channels"
        case outChannels = "out_channels"
        case blockOutChannels = "block_out_channels"
        case layersPerBlock = "layers_per_block"
        case latentChannels = "latent_channels"
        case normNumGroups = "norm_num_groups"
        case scalingFactor = "scaling_factor"
    }

    /// Stable Diffusion 1.5's.
    public init() {}

    /// Absent keys take SD 1.5's values.
    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        inChannels = try c.decodeIfPresent(Int.self, forKey: .inChannels) ?? inChannels
        outChannels = try c.decodeIfPresent(Int.self, forKey: .outChannels) ?? outChannels
        blockOutChannels = try c.decodeIfPresent([Int].self, forKey: .blockOutChannels) ?? blockOutChannels
        layersPerBlock = try c.decodeIfPresent(Int.self, forKey: .layersPerBlock) ?? layersPerBlock
        latentChannels = try c.decodeIfPresent(Int.self, forKey: .latentChannels) ?? latentChannels
        normNumGroups = try c.decodeIfPresent(Int.self, forKey: .normNumGroups) ?? normNumGroups
        scalingFactor = try c.decodeIfPresent(Float.self, forKey: .scalingFactor) ?? scalingFactor
        try requireSizes(
            in: "vae/config.json",
            [
                "in_channels": [inChannels], "out_channels": [outChannels], "block_out_channels": blockOutChannels,
                "latent_channels": [latentChannels], "norm_num_groups": [normNumGroups],
            ])
        try requireSizes(
            in: "vae/config.json",
            ["layers_per_block": [layersPerBlock], "the number of block_out_channels": [blockOutChannels.count]],
            upTo: 16)
        if let odd = blockOutChannels.first(where: { $0 % normNumGroups != 0 }) {
            throw CheckpointError(
                "vae/config.json: norm_num_groups \(normNumGroups) does not divide \(odd) of block_out_channels")
        }
    }

    /// Pixels of a side for each latent of a side.
    public var downscale: Int { 1 << (blockOutChannels.count - 1) }
}

/// Single-head self-attention over pixels. Matches diffusers' `Attention` in the VAE's middle; keys `group_norm`,
/// `to_q`, `to_k`, `to_v`, `to_out.0`, or in older files `query`, `key`, `value`, `proj_attn`.
struct VAEAttention: Sendable {
    let groupNorm: GroupNorm
    let toQ, toK, toV, toOut: Linear

    init(_ w: Weights, _ channels: Int, groups: Int) throws {
        groupNorm = try GroupNorm(w / "group_norm", groups: groups, channels: channels, eps: 1e-6)
        toQ = try Linear(w.any(of: "to_q", "query"), channels, channels)
        toK = try Linear(w.any(of: "to_k", "key"), channels, channels)
        toV = try Linear(w.any(of: "to_v", "value"), channels, channels)
        toOut = try Linear(w.any(of: "to_out.0", "proj_attn"), channels, channels)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let tokens = groupNorm(x, for: .product).reshaped([x.shape[0], -1, x.shape[3]])
        let (q, k, v) = (toQ(tokens, for: .product), toK(tokens, for: .product), toV(tokens, for: .product))
        let h = q.attention(keys: k, values: v, heads: 1, for: .product)
        return toOut(h, residual: x.reshaped(tokens.shape)).reshaped(x.shape)
    }
}

/// Matches diffusers `UNetMidBlock2D`; keys `mid_block.resnets.{0,1}`, `mid_block.attentions.0`.
struct VAEMidBlock: Sendable {
    let resnets: [ResnetBlock2D]
    let attention: VAEAttention

    init(_ w: Weights, _ channels: Int, groups: Int) throws {
        resnets = try (0..<2).map {
            try ResnetBlock2D(w / "resnets" / $0, channels, channels, time: nil, groups: groups, eps: 1e-6)
        }
        attention = try VAEAttention(w / "attentions" / 0, channels, groups: groups)
    }

    func callAsFunction(_ x: Tensor) -> Tensor { resnets[1](attention(resnets[0](x))) }
}

/// Picture → moments of the latent. Matches diffusers `Encoder`; keys `encoder.*`.
struct VAEEncoder: Sendable {
    let convIn, convOut: Conv2d
    let downBlocks: [(resnets: [ResnetBlock2D], downsampler: Downsample2D?)]
    let midBlock: VAEMidBlock
    let convNormOut: GroupNorm

    init(_ w: Weights, _ c: VAEConfig) throws {
        let widths = c.blockOutChannels
        let last = widths[widths.count - 1]
        convIn = try Conv2d(w / "conv_in", c.inChannels, widths[0], kernel: 3, padding: .init(1))
        downBlocks = try widths.indices.map { i in
            let w = w / "down_blocks" / i
            let resnets = try (0..<c.layersPerBlock).map { j in
                try ResnetBlock2D(
                    w / "resnets" / j, widths[j == 0 ? max(i - 1, 0) : i], widths[i], time: nil,
                    groups: c.normNumGroups, eps: 1e-6)
            }
            let padding = ConvolutionFilter.Padding(top: 0, left: 0, bottom: 1, right: 1)
            let downsampler =
                i < widths.count - 1 ? try Downsample2D(w / "downsamplers" / 0, widths[i], padding: padding) : nil
            return (resnets, downsampler)
        }
        midBlock = try VAEMidBlock(w / "mid_block", last, groups: c.normNumGroups)
        convNormOut = try GroupNorm(w / "conv_norm_out", groups: c.normNumGroups, channels: last, eps: 1e-6)
        convOut = try Conv2d(w / "conv_out", last, 2 * c.latentChannels, kernel: 3, padding: .init(1))
    }

    func callAsFunction(_ x: Tensor, observe: ((String, Tensor) -> Void)?) -> Tensor {
        var x = convIn(x)
        for (i, block) in downBlocks.enumerated() {
            for resnet in block.resnets { x = resnet(x) }
            if let downsampler = block.downsampler { x = downsampler(x) }
            observe?("encoder.down_blocks.\(i)", x)
        }
        x = midBlock(x)
        observe?("encoder.mid_block", x)
        return convOut(x, after: convNormOut)
    }
}

/// Latent → picture. Matches diffusers `Decoder`; keys `decoder.*`.
struct VAEDecoder: Sendable {
    let convIn, convOut: Conv2d
    let midBlock: VAEMidBlock
    let upBlocks: [(resnets: [ResnetBlock2D], upsampler: Upsample2D?)]
    let convNormOut: GroupNorm

    init(_ w: Weights, _ c: VAEConfig) throws {
        let widths = Array(c.blockOutChannels.reversed())
        convIn = try Conv2d(w / "conv_in", c.latentChannels, widths[0], kernel: 3, padding: .init(1))
        midBlock = try VAEMidBlock(w / "mid_block", widths[0], groups: c.normNumGroups)
        upBlocks = try widths.indices.map { i in
            let w = w / "up_blocks" / i
            let resnets = try (0...c.layersPerBlock).map { j in
                try ResnetBlock2D(
                    w / "resnets" / j, widths[j == 0 ? max(i - 1, 0) : i], widths[i], time: nil,
                    groups: c.normNumGroups, eps: 1e-6)
            }
            return (resnets, i < widths.count - 1 ? try Upsample2D(w / "upsamplers" / 0, widths[i]) : nil)
        }
        let last = widths[widths.count - 1]
        convNormOut = try GroupNorm(w / "conv_norm_out", groups: c.normNumGroups, channels: last, eps: 1e-6)
        convOut = try Conv2d(w / "conv_out", last, c.outChannels, kernel: 3, padding: .init(1))
    }

    func callAsFunction(_ z: Tensor, observe: ((String, Tensor) -> Void)?) -> Tensor {
        var x = midBlock(convIn(z))
        observe?("decoder.mid_block", x)
        for block in upBlocks {
            for resnet in block.resnets { x = resnet(x) }
            if let upsampler = block.upsampler { x = upsampler(x) }
        }
        return convOut(x, after: convNormOut)
    }
}

/// The autoencoder between pictures and latents. Matches diffusers `AutoencoderKL`; keys `encoder.*`, `decoder.*`,
/// `quant_conv`, `post_quant_conv`.
///
/// Shapes: picture [N, H, W, 3] in -1 ... 1, latent [N, H/f, W/f, 4], f = ``VAEConfig/downscale``.
public struct AutoencoderKL: Sendable {
    /// The sizes it was made with.
    public let config: VAEConfig
    let encoder: VAEEncoder
    let decoder: VAEDecoder
    let quantConv, postQuantConv: Linear

    /// The Gaussian that a picture is encoded to, unscaled.
    public struct Posterior: Sendable {
        /// Mean, then log variance: [N, h, w, 8].
        public let moments: Tensor
        /// Its mean (and mode): [N, h, w, 4].
        public let mean: Tensor
        /// ln of its variance, clamped to -30 ... 20: [N, h, w, 4].
        public let logVariance: Tensor
        /// Its standard deviation exp(clamp(log variance, -30, 20) / 2): [N, h, w, 4].
        public let deviation: Tensor

        /// mean + deviation · noise
        public func sample(_ noise: Tensor) -> Tensor { mean + deviation * noise }
    }

    /// Takes all of a VAE's tensors.
    public init(_ w: Weights, _ config: VAEConfig) throws {
        self.config = config
        encoder = try VAEEncoder(w / "encoder", config)
        decoder = try VAEDecoder(w / "decoder", config)
        quantConv = try Linear(w / "quant_conv", 2 * config.latentChannels, 2 * config.latentChannels)
        postQuantConv = try Linear(w / "post_quant_conv", config.latentChannels, config.latentChannels)
    }

    /// Picture → posterior of the latent (not yet times `scaling_factor`).
    public func encode(_ image: Tensor, observe: ((String, Tensor) -> Void)? = nil) -> Posterior {
        let moments = quantConv(encoder(image, observe: observe))
        let c = config.latentChannels
        let pixels = moments.reshaped([-1, 2 * c])
        let shape = Array(moments.shape.dropLast()) + [c]
        let logVariance = pixels.columns(c..<2 * c).clamped(-30, 20).reshaped(shape)
        return Posterior(
            moments: moments, mean: pixels.columns(0..<c).reshaped(shape), logVariance: logVariance,
            deviation: logVariance.scaled(by: 0.5).exponential())
    }

    /// Latent (already divided by `scaling_factor`) → picture.
    public func decode(_ latent: Tensor, observe: ((String, Tensor) -> Void)? = nil) -> Tensor {
        decoder(postQuantConv(latent), observe: observe)
    }
}
