public import Checkpoint
internal import NeuralNetwork
public import TensorEngine

/// text_encoder/config.json, with transformers' defaults (`CLIPTextConfig`).
public struct CLIPTextConfig: Codable, Sendable, CLIPTowerConfig {
    /// Width of the states; the UNet's cross_attention_dim.
    public var hiddenSize = 512
    /// Width inside the feed-forward layers.
    public var intermediateSize = 2048
    public var numHiddenLayers = 12
    public var numAttentionHeads = 8
    /// Length of every token sequence, 77.
    public var maxPositionEmbeddings = 77
    public var vocabSize = 49408
    public var hiddenAct = Activation.quickGelu
    public var layerNormEps: Float = 1e-5

    enum CodingKeys: String, CodingKey {
        case hiddenSize = "hidden_size"
        case intermediateSize = "intermediate_size"
        case numHiddenLayers = "num_hidden_layers"
        case numAttentionHeads = "num_attention_heads"
        case maxPositionEmbeddings = "max_position_embeddings"
        case vocabSize = "vocab_size"
        case hiddenAct = "hidden_act"
        case layerNormEps = "layer_norm_eps"
    }

    /// transformers' defaults.
    public init() {}

    /// CLIP ViT-L/14's text tower, as in Stable Diffusion 1.5.
    public static let sd15: CLIPTextConfig = {
        var config = CLIPTextConfig()
        (config.hiddenSize, config.intermediateSize, config.numAttentionHeads) = (768, 3072, 12)
        return config
    }()

    /// Keys that are absent keep their default; others are ignored.
    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        hiddenSize = try c.decodeIfPresent(Int.self, forKey: .hiddenSize) ?? hiddenSize
        intermediateSize = try c.decodeIfPresent(Int.self, forKey: .intermediateSize) ?? intermediateSize
        numHiddenLayers = try c.decodeIfPresent(Int.self, forKey: .numHiddenLayers) ?? numHiddenLayers
        numAttentionHeads = try c.decodeIfPresent(Int.self, forKey: .numAttentionHeads) ?? numAttentionHeads
        maxPositionEmbeddings =
            try c.decodeIfPresent(Int.self, forKey: .maxPositionEmbeddings) ?? maxPositionEmbeddings
        vocabSize = try c.decodeIfPresent(Int.self, forKey: .vocabSize) ?? vocabSize
        hiddenAct = try c.decodeIfPresent(Activation.self, forKey: .hiddenAct) ?? hiddenAct
        layerNormEps = try c.decodeIfPresent(Float.self, forKey: .layerNormEps) ?? layerNormEps
        try requireTowerSizes(in: "text_encoder/config.json")
        try requireSizes(
            in: "text_encoder/config.json",
            ["max_position_embeddings": [maxPositionEmbeddings], "vocab_size": [vocabSize]], atLeast: 2)
    }
}

/// CLIP's text tower. Matches transformers `CLIPTextModel`; keys `text_model.*`.
///
/// Limitation: no padding mask (Stable Diffusion 1.5 passes none), only the causal one.
public struct CLIPTextModel: Sendable {
    /// The sizes it was made with.
    public let config: CLIPTextConfig
    let tokenEmbedding, positionEmbedding: Embedding
    let encoder: CLIPEncoder
    let finalLayerNorm: LayerNorm

    /// What a pass gives.
    public struct Output: Sendable {
        /// After the final norm: [N, T, D]. What the UNet attends to.
        public let lastHiddenState: Tensor
        /// After the embeddings (first) and after each layer, before the final norm: [N, T, D] each.
        public let hiddenStates: [Tensor]
        /// `lastHiddenState` at each row's first occurrence of its largest token id (the end token): [N, D].
        public let pooled: Tensor
    }

    /// Takes `text_model.*`, or the same without this prefix, as transformers 5 writes it.
    public init(_ root: Weights, _ config: CLIPTextConfig) throws {
        let isBare = (root / "embeddings" / "token_embedding").has("weight")
        let w = isBare ? root : root / "text_model"
        self.config = config
        let embeddings = w / "embeddings"
        tokenEmbedding = try Embedding(embeddings / "token_embedding", config.vocabSize, config.hiddenSize)
        positionEmbedding = try Embedding(
            embeddings / "position_embedding", config.maxPositionEmbeddings, config.hiddenSize)
        encoder = try CLIPEncoder(w / "encoder", config)
        finalLayerNorm = try LayerNorm(w / "final_layer_norm", config.hiddenSize, eps: config.layerNormEps)
    }

    /// Encodes token sequences of equal length.
    ///
    /// - Parameter learned: vectors [K, D] of tokens that the vocabulary lacks (textual inversion), as the ids
    ///   `vocabSize` … `vocabSize` + K − 1
    public func callAsFunction(_ tokens: [[Int]], learned: Tensor? = nil) -> Output {
        let (n, t) = (tokens.count, tokens[0].count)
        let x = embedded(tokens.flatMap { $0 }, learned).reshaped([n, t, config.hiddenSize])
            .addingRows(positionEmbedding.prefix(t))
        let states = encoder.hiddenStates(x, causal: true)
        let last = finalLayerNorm(states[states.count - 1])
        let ends = tokens.enumerated().map { row, ids in
            row * t + (ids.firstIndex(of: ids.max() ?? 0) ?? 0)
        }
        return Output(
            lastHiddenState: last, hiddenStates: states,
            pooled: last.reshaped([n * t, config.hiddenSize]).gathered(ends))
    }

    private func embedded(_ ids: [Int], _ learned: Tensor?) -> Tensor {
        guard let learned else { return tokenEmbedding(ids) }
        let known = tokenEmbedding(ids.map { $0 < config.vocabSize ? $0 : 0 })
        let vectors = learned.gathered(ids.map { max($0 - config.vocabSize, 0) })
        return .stacked(ids.indices.map { (ids[$0] < config.vocabSize ? known : vectors)[$0..<$0 + 1] })
    }

    /// The state `skip` layers before the last, through the final norm: diffusers' `clip_skip`; 0 is the last state.
    public func clipSkip(_ output: Output, _ skip: Int) -> Tensor {
        finalLayerNorm(output.hiddenStates[output.hiddenStates.count - 1 - skip])
    }
}
