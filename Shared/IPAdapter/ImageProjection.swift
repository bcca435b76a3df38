public import Checkpoint
internal import NeuralNetwork
public import TensorEngine

/// What is read of a photo → conditioning tokens, in the form that an adapter's file has:
///
/// | file | reads | matches |
/// |---|---|---|
/// | `ip-adapter_sd15`, `_light` | image embedding | h94's `ImageProjModel`, diffusers' `ImageProjection` |
/// | `ip-adapter-plus`, `-plus-face` | hidden states | h94's `Resampler`, diffusers' `IPAdapterPlusImageProjection` |
/// | `ip-adapter-full-face` | hidden states | h94's `MLPProjModel`, diffusers' `IPAdapterFullImageProjection` |
/// | `ip-adapter-faceid`, `-portrait` | face embedding | h94's `MLPProjModel` of FaceID, diffusers' `IPAdapterFaceIDImageProjection` |
///
/// Of embeddings, the unconditional branch is a zero one put through the same layers: its tokens are not zero. Of hidden
/// states it is those of a photo whose pixel values are zero.
public struct ImageProjection: Sendable {
    private enum Form: Sendable {
        case linear(proj: Linear, norm: LayerNorm)
        case resampler(Resampler)
        case full(first: Linear, second: Linear, norm: LayerNorm)
        case faceID(first: Linear, second: Linear, norm: LayerNorm)
    }

    /// What is read of a photo.
    public enum Input: Sendable {
        /// CLIP's image embedding, [E].
        case imageEmbedding
        /// The vision tower's last hidden states but one, [patches + 1, E].
        case hiddenStates
        /// A face recogniser's embedding of length 1 (insightface's `normed_embedding`), [E].
        case faceEmbedding
    }
    private let form: Form
    /// Tokens for each photo: 4 in SD 1.5's IP-Adapter and FaceID, 16 in Plus; in full-face, as many as there are states.
    public let tokens: Int?
    /// Width of the embedding or of a hidden state, E.
    public let embeddingWidth: Int
    /// Width of a token: the UNet's cross_attention_dim, D.
    public let tokenWidth: Int

    /// What it reads of a photo.
    public var input: Input {
        switch form {
        case .linear: .imageEmbedding
        case .resampler, .full: .hiddenStates
        case .faceID: .faceEmbedding
        }
    }

    /// The projection of an IP-Adapter's file, under h94's keys or diffusers'.
    public init(adapter w: Weights) throws { try self.init(Self.home(in: w)) }

    /// Where an IP-Adapter's file has its projection: under diffusers' keys if it has them, else h94's.
    public static func home(in w: Weights) -> Weights {
        let diffusers = w / "encoder_hid_proj" / "image_projection_layers" / 0
        return (diffusers / "norm").has("weight") || diffusers.has("latents") ? diffusers : w / "image_proj"
    }

    /// Finds the form by the names there are, and the sizes by their shapes.
    ///
    /// - Throws: `CheckpointError` for FaceID Plus and for anything unknown
    public init(_ w: Weights) throws {
        if (w / "perceiver_resampler" / "proj_in").has("weight") || (w / "proj" / "net" / 0 / "proj").has("weight") {
            throw CheckpointError(
                "\(w.path): is of FaceID Plus (ip-adapter-faceid-plus_sd15, -plusv2_sd15), which reads a face embedding and "
                    + "CLIP's states of the face at once and is not supported; use ip-adapter-faceid_sd15, or -plus-face_sd15"
            )
        }
        if w.has("latents") {
            let resampler = try Resampler(w)
            self.init(
                .resampler(resampler), tokens: resampler.tokens, inputs: resampler.inputs, width: resampler.width)
        } else if let perceptron = try Self.perceptron(w) {
            self = perceptron
        } else {
            let width = try (w / "norm").shape("weight", axes: 1)[0]
            let linear = w.any(of: "image_embeds", "proj")
            let shape = try linear.shape("weight", axes: 2)
            guard shape[0] % width == 0 else {
                throw CheckpointError("\(linear.path): shape \(shape) is not a whole number of tokens of \(width)")
            }
            try self.init(linear, norm: w / "norm", inputs: shape[1], tokens: shape[0] / width, width: width)
        }
    }

    /// Linear, GELU, Linear, LayerNorm: of every state (full-face), or of one vector that becomes several tokens (FaceID);
    /// nil for a file of another form.
    private static func perceptron(_ w: Weights) throws -> ImageProjection? {
        let isDiffusers = (w / "ff" / "net" / 0 / "proj").has("weight")
        let (first, second) =
            isDiffusers ? (w / "ff" / "net" / 0 / "proj", w / "ff" / "net" / 2) : (w / "proj" / 0, w / "proj" / 2)
        guard first.has("weight") else { return nil }
        let (inner, outer) = (try first.shape("weight", axes: 2), try second.shape("weight", axes: 2))
        // h94 has full-face's norm in the row of layers, FaceID's beside it; diffusers has both beside it.
        let norm = isDiffusers || !(w / "proj" / 3).has("weight") ? w / "norm" : w / "proj" / 3
        let width = try norm.shape("weight", axes: 1)[0]
        guard outer[0] % width == 0 else {
            throw CheckpointError(
                "\(first.path): shapes \(inner) and \(outer) are not of linear layers that end in whole tokens of \(width)"
            )
        }
        let layers = (
            first: try Linear(first, inner[1], inner[0]), second: try Linear(second, inner[0], outer[0]),
            norm: try LayerNorm(norm, width)
        )
        if outer[0] == width {
            let form = Form.full(first: layers.first, second: layers.second, norm: layers.norm)
            return ImageProjection(form, tokens: nil, inputs: inner[1], width: width)
        }
        let form = Form.faceID(first: layers.first, second: layers.second, norm: layers.norm)
        return ImageProjection(form, tokens: outer[0] / width, inputs: inner[1], width: width)
    }

    /// A projection of image embeddings, of given sizes, under h94's key names.
    public init(_ w: Weights, inputs: Int, tokens: Int, width: Int) throws {
        try self.init(w / "proj", norm: w / "norm", inputs: inputs, tokens: tokens, width: width)
    }

    private init(_ linear: Weights, norm: Weights, inputs: Int, tokens: Int, width: Int) throws {
        let form = Form.linear(proj: try Linear(linear, inputs, tokens * width), norm: try LayerNorm(norm, width))
        self.init(form, tokens: tokens, inputs: inputs, width: width)
    }

    private init(_ form: Form, tokens: Int?, inputs: Int, width: Int) {
        (self.form, self.tokens, embeddingWidth, tokenWidth) = (form, tokens, inputs, width)
    }

    /// Embeddings of photos [N, images, E], or their hidden states [N, images, (patches + 1) · E], → [N, images · tokens, D], in the
    /// images' order.
    public func callAsFunction(_ embeddings: Tensor) -> Tensor {
        let (n, images) = (embeddings.shape[0], embeddings.shape[1])
        let states = embeddings.reshaped([n * images, -1, embeddingWidth])
        let rows: Tensor =
            switch form {
            case .linear(let proj, let norm): norm(proj(states).reshaped([-1, tokenWidth]))
            case .resampler(let resampler): resampler(states)
            case .full(let first, let second, let norm): norm(second(first(states, activation: .gelu)))
            case .faceID(let first, let second, let norm):
                norm(second(first(states, activation: .gelu)).reshaped([-1, tokenWidth]))
            }
        return rows.reshaped([n, -1, tokenWidth])
    }
}
