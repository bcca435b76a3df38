public import Checkpoint
internal import NeuralNetwork
public import TensorEngine

/// Image embedding → conditioning tokens. Matches diffusers `ImageProjection` and h94's `ImageProjModel`;
/// keys `proj` [tokens · D, E], `norm` [D] (diffusers: `image_embeds`, `norm`).
///
///     tokens = LayerNorm(reshape(Linear(e), [tokens, D]))
///
/// The unconditional branch is a zero embedding put through the same layers: its tokens are not zero.
public struct ImageProjection: Sendable {
    let proj: Linear
    let norm: LayerNorm
    /// Tokens for each embedding, 4 in SD 1.5's IP-Adapter.
    public let tokens: Int
    /// Width of the image embedding, E.
    public let embeddingWidth: Int
    /// Width of a token: the UNet's cross_attention_dim, D.
    public let tokenWidth: Int

    /// The projection of an IP-Adapter's file, under h94's keys or diffusers'.
    public init(adapter w: Weights) throws {
        let diffusers = w / "encoder_hid_proj" / "image_projection_layers" / 0
        try self.init((diffusers / "norm").has("weight") ? diffusers : w / "image_proj")
    }

    /// Takes `proj` (or `image_embeds`) and `norm`; the sizes are read from their shapes.
    public init(_ w: Weights) throws {
        let width = try (w / "norm").shape("weight")[0]
        let linear = w.any(of: "image_embeds", "proj")
        let shape = try linear.shape("weight")
        guard shape.count == 2, shape[0] % width == 0 else {
            throw CheckpointError("\(linear.path): shape \(shape) is not a whole number of tokens of \(width)")
        }
        try self.init(linear, norm: w / "norm", inputs: shape[1], tokens: shape[0] / width, width: width)
    }

    /// A projection of given sizes under h94's key names.
    public init(_ w: Weights, inputs: Int, tokens: Int, width: Int) throws {
        try self.init(w / "proj", norm: w / "norm", inputs: inputs, tokens: tokens, width: width)
    }

    private init(_ linear: Weights, norm: Weights, inputs: Int, tokens: Int, width: Int) throws {
        proj = try Linear(linear, inputs, tokens * width)
        self.norm = try LayerNorm(norm, width)
        (self.tokens, embeddingWidth, tokenWidth) = (tokens, inputs, width)
    }

    /// [N, images, E] → [N, images · tokens, D], in the images' order.
    public func callAsFunction(_ embeddings: Tensor) -> Tensor {
        let (n, images) = (embeddings.shape[0], embeddings.shape[1])
        let rows = proj(embeddings).reshaped([n * images * tokens, tokenWidth])
        return norm(rows).reshaped([n, images * tokens, tokenWidth])
    }
}
