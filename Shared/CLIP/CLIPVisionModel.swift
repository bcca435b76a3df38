public import Checkpoint
internal import NeuralNetwork
public import TensorEngine

/// image_encoder/config.json, with transformers' defaults (`CLIPVisionConfig`).
public struct CLIPVisionConfig: Codable, Sendable, CLIPTowerConfig {
    /// Width of the states.
    public var hiddenSize = 768
    /// Width inside the feed-forward layers.
    public var intermediateSize = 3072
    /// Width of the image embedding.
    public var projectionDim = 512
    public var numHiddenLayers = 12
    public var numAttentionHeads = 12
    /// Side of the input picture in pixels.
    public var imageSize = 224
    /// Side of a patch in pixels.
    public var patchSize = 32
    public var hiddenAct = Activation.quickGelu
    public var layerNormEps: Float = 1e-5
    /// Whether the file is of text and vision tower together.
    public private(set) var isWholeCLIP = false

    private enum WholeKeys: String, CodingKey {
        case visionConfig = "vision_config"
        case projectionDim = "projection_dim"
    }

    enum CodingKeys: String, CodingKey {
        case hiddenSize = "hidden_size"
        case intermediateSize = "intermediate_size"
        case projectionDim = "projection_dim"
        case numHiddenLayers = "num_hidden_layers"
        case numAttentionHeads = "num_attention_heads"
        case imageSize = "image_size"
        case patchSize = "patch_size"
        case hiddenAct = "hidden_act"
        case layerNormEps = "layer_norm_eps"
    }

    /// transformers' defaults.
    public init() {}

    /// Keys that are absent keep their default; others are ignored. The file of a whole CLIP keeps the tower's settings
    /// under `vision_config`, but the width of the projection beside it.
    public init(from decoder: any Decoder) throws {
        let outer = try decoder.container(keyedBy: WholeKeys.self)
        isWholeCLIP = outer.contains(.visionConfig)
        if isWholeCLIP {
            self = try outer.decode(CLIPVisionConfig.self, forKey: .visionConfig)
            isWholeCLIP = true
            projectionDim = try outer.decodeIfPresent(Int.self, forKey: .projectionDim) ?? projectionDim
            return
        }
        let c = try decoder.container(keyedBy: CodingKeys.self)
        hiddenSize = try c.decodeIfPresent(Int.self, forKey: .hiddenSize) ?? hiddenSize
        intermediateSize = try c.decodeIfPresent(Int.self, forKey: .intermediateSize) ?? intermediateSize
        projectionDim = try c.decodeIfPresent(Int.self, forKey: .projectionDim) ?? projectionDim
        numHiddenLayers = try c.decodeIfPresent(Int.self, forKey: .numHiddenLayers) ?? numHiddenLayers
        numAttentionHeads = try c.decodeIfPresent(Int.self, forKey: .numAttentionHeads) ?? numAttentionHeads
        imageSize = try c.decodeIfPresent(Int.self, forKey: .imageSize) ?? imageSize
        patchSize = try c.decodeIfPresent(Int.self, forKey: .patchSize) ?? patchSize
        hiddenAct = try c.decodeIfPresent(Activation.self, forKey: .hiddenAct) ?? hiddenAct
        layerNormEps = try c.decodeIfPresent(Float.self, forKey: .layerNormEps) ?? layerNormEps
        try requireTowerSizes(in: "image_encoder/config.json")
        try requireSizes(in: "image_encoder/config.json", ["projection_dim": [projectionDim]])
        try requireSizes(in: "image_encoder/config.json", ["image_size": [imageSize]], upTo: 4096)
        try requireSizes(in: "image_encoder/config.json", ["patch_size": [patchSize]], upTo: imageSize)
    }
}

/// CLIP's vision tower with its projection. Matches transformers `CLIPVisionModelWithProjection`; keys
/// `vision_model.*` and `visual_projection.weight`. The checkpoint spells it `pre_layrnorm`.
public struct CLIPVisionModel: Sendable {
    /// The sizes it was made with.
    public let config: CLIPVisionConfig
    let classEmbedding: Tensor
    let patchEmbedding: Conv2d
    let positionEmbedding: Embedding
    let preLayerNorm, postLayerNorm: LayerNorm
    let encoder: CLIPEncoder
    let visualProjection: Linear

    /// What a pass gives.
    public struct Output: Sendable {
        /// Projection of the class token's state after the final norm, not normalised: [N, projection_dim].
        public let imageEmbeds: Tensor
        /// After the embeddings' norm (first) and after each layer: [N, 1 + patches, D] each.
        public let hiddenStates: [Tensor]
    }

    /// Takes `vision_model.*` and `visual_projection`.
    public init(_ root: Weights, _ config: CLIPVisionConfig) throws {
        try self.init(tower: root / "vision_model", projection: root, config)
    }

    /// Of a file that has the tower elsewhere: `tower` holds `embeddings`, `projection` holds `visual_projection`.
    public init(tower w: Weights, projection root: Weights, _ config: CLIPVisionConfig) throws {
        let (d, side) = (config.hiddenSize, config.imageSize / config.patchSize)
        self.config = config
        let embeddings = w / "embeddings"
        classEmbedding = try embeddings.tensor("class_embedding", d)
        patchEmbedding = try Conv2d(
            embeddings / "patch_embedding", 3, d, kernel: config.patchSize, stride: config.patchSize, bias: false)
        positionEmbedding = try Embedding(embeddings / "position_embedding", side * side + 1, d)
        preLayerNorm = try LayerNorm(w / "pre_layrnorm", d, eps: config.layerNormEps)
        encoder = try CLIPEncoder(w / "encoder", config)
        postLayerNorm = try LayerNorm(w / "post_layernorm", d, eps: config.layerNormEps)
        visualProjection = try Linear(root / "visual_projection", d, config.projectionDim, bias: false)
    }

    /// Encodes normalised pictures [N, H, W, 3], H = W = `image_size`.
    public func callAsFunction(_ pixels: Tensor) -> Output {
        let (n, d) = (pixels.shape[0], config.hiddenSize)
        let patches = patchEmbedding(pixels).reshaped([n, -1, d])
        let tokens = Tensor.stacked((0..<n).flatMap { [classEmbedding.reshaped([1, d]), patches[$0]] })
            .reshaped([n, -1, d])
        let x = preLayerNorm(tokens.addingRows(positionEmbedding.prefix(tokens.shape[1])))
        let states = encoder.hiddenStates(x, causal: false)
        let classes = states[states.count - 1].reshaped([-1, d]).gathered((0..<n).map { $0 * tokens.shape[1] })
        return Output(imageEmbeds: visualProjection(postLayerNorm(classes)), hiddenStates: states)
    }
}
