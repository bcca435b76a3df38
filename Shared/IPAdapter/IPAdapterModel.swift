public import Checkpoint
public import Diffusion
internal import NeuralNetwork
public import TensorEngine

/// The trained part of IP-Adapter: the image projection and W'k, W'v of every cross-attention (paper eq. 17).
///
/// Reads h94's keys (`image_proj.*`, `ip_adapter.{1, 3, …}.to_{k,v}_ip.weight`, the odd numbers counting the
/// cross-attentions in diffusers' order: down blocks, up blocks, mid block) and diffusers' own
/// (`encoder_hid_proj.image_projection_layers.0.*`, `….attn2.processor.to_{k,v}_ip.0.weight`). FaceID's LoRA is not part of it
/// (``AdapterLoRA``).
public struct IPAdapterModel: Sendable {
    /// Image embedding → tokens.
    public let projection: ImageProjection
    private let attentions: [String: (toKIP: Linear, toVIP: Linear)]

    /// Takes the weights for `unet`'s cross-attentions.
    public init(_ w: Weights, for unet: UNet2DConditionModel) throws {
        let layers = unet.crossAttentionWidths
        let projection = try ImageProjection(adapter: w)
        let isDiffusers = !(w / "ip_adapter" / 1 / "to_k_ip").has("weight")
        try self.init(projection, layers) { index, name in
            if isDiffusers {
                return (w / name / "processor" / "to_k_ip" / 0, w / name / "processor" / "to_v_ip" / 0)
            }
            let layer = w / "ip_adapter" / (2 * index + 1)
            return (layer / "to_k_ip", layer / "to_v_ip")
        }
        guard projection.tokenWidth == unet.config.crossAttentionDim else {
            throw CheckpointError(
                "IP-Adapter tokens are \(projection.tokenWidth) wide, the UNet's cross_attention_dim is "
                    + "\(unet.config.crossAttentionDim): this adapter is for another model")
        }
    }

    /// An adapter of given sizes under h94's key names.
    public init(_ w: Weights, for unet: UNet2DConditionModel, embeddingWidth: Int, tokens: Int) throws {
        let projection = try ImageProjection(
            w / "image_proj", inputs: embeddingWidth, tokens: tokens, width: unet.config.crossAttentionDim)
        try self.init(projection, unet.crossAttentionWidths) { index, _ in
            let layer = w / "ip_adapter" / (2 * index + 1)
            return (layer / "to_k_ip", layer / "to_v_ip")
        }
    }

    private init(
        _ projection: ImageProjection, _ layers: [(name: String, hiddenSize: Int)],
        _ place: (Int, String) -> (Weights, Weights)
    ) throws {
        self.projection = projection
        var attentions: [String: (toKIP: Linear, toVIP: Linear)] = [:]
        for (index, layer) in layers.enumerated() {
            let (k, v) = place(index, layer.name)
            attentions[layer.name] = (
                try Linear(k, projection.tokenWidth, layer.hiddenSize, bias: false),
                try Linear(v, projection.tokenWidth, layer.hiddenSize, bias: false)
            )
        }
        self.attentions = attentions
    }

    /// The adapter for these tokens [N, T, cross_attention_dim] at strength λ = `scale`.
    public func conditioned(on tokens: Tensor, scale: Float) -> some CrossAttentionAdapter {
        Conditioned(attentions: attentions, tokens: tokens, scales: attentions.mapValues { _ in scale })
    }

    /// The adapter with a λ for each cross-attention, by module name (`LayerScales`); 0 where there is none.
    public func conditioned(on tokens: Tensor, scales: [String: Float]) -> some CrossAttentionAdapter {
        Conditioned(attentions: attentions, tokens: tokens, scales: scales)
    }

    private struct Conditioned: CrossAttentionAdapter {
        let attentions: [String: (toKIP: Linear, toVIP: Linear)]
        let tokens: Tensor
        let scales: [String: Float]

        func imageKeysAndValues(for attention: String) -> (keys: Tensor, values: Tensor)? {
            attentions[attention].map { ($0.toKIP(tokens), $0.toVIP(tokens)) }
        }

        func scale(for attention: String) -> Float { scales[attention] ?? 0 }
    }
}
