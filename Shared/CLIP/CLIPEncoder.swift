// The transformer that CLIP's text and vision towers share.
internal import Checkpoint
internal import NeuralNetwork
internal import TensorEngine

/// Matches transformers `CLIPAttention`; keys `q_proj`, `k_proj`, `v_proj`, `out_proj`.
struct CLIPAttention: Sendable {
    let qProj, kProj, vProj, outProj: Linear
    let heads: Int

    init(_ w: Weights, _ features: Int, heads: Int) throws {
        qProj = try Linear(w / "q_proj", features, features)
        kProj = try Linear(w / "k_proj", features, features)
        vProj = try Linear(w / "v_proj", features, features)
        outProj = try Linear(w / "out_proj", features, features)
        self.heads = heads
    }

    /// - Parameter residual: added to the result
    func callAsFunction(_ x: Tensor, causal: Bool, residual: Tensor) -> Tensor {
        let (q, k, v) = (qProj(x, for: .product), kProj(x, for: .product), vProj(x, for: .product))
        let h = q.attention(keys: k, values: v, heads: heads, causal: causal, for: .product)
        return outProj(h, residual: residual)
    }
}

/// Matches transformers `CLIPMLP`; keys `fc1`, `fc2`.
struct CLIPMLP: Sendable {
    let fc1, fc2: Linear
    let activation: Activation

    init(_ w: Weights, _ features: Int, _ intermediate: Int, _ activation: Activation) throws {
        fc1 = try Linear(w / "fc1", features, intermediate)
        fc2 = try Linear(w / "fc2", intermediate, features)
        self.activation = activation
    }

    /// - Parameter residual: added to the result
    func callAsFunction(_ x: Tensor, residual: Tensor) -> Tensor {
        fc2(fc1(x, activation: activation, for: .product), residual: residual)
    }
}

/// Matches transformers `CLIPEncoderLayer` (pre-norm); keys `layer_norm1`, `self_attn`, `layer_norm2`, `mlp`.
///
///     x = x + self_attn(layer_norm1(x));  x = x + mlp(layer_norm2(x))
struct CLIPEncoderLayer: Sendable {
    let layerNorm1, layerNorm2: LayerNorm
    let selfAttn: CLIPAttention
    let mlp: CLIPMLP

    func callAsFunction(_ x: Tensor, causal: Bool) -> Tensor {
        let x = selfAttn(layerNorm1(x, for: .product), causal: causal, residual: x)
        return mlp(layerNorm2(x, for: .product), residual: x)
    }
}

/// Matches transformers `CLIPEncoder`; keys `layers.{i}`.
struct CLIPEncoder: Sendable {
    let layers: [CLIPEncoderLayer]

    init(_ w: Weights, _ c: some CLIPTowerConfig) throws {
        layers = try (0..<c.numHiddenLayers).map { i in
            let w = w / "layers" / i
            return CLIPEncoderLayer(
                layerNorm1: try LayerNorm(w / "layer_norm1", c.hiddenSize, eps: c.layerNormEps),
                layerNorm2: try LayerNorm(w / "layer_norm2", c.hiddenSize, eps: c.layerNormEps),
                selfAttn: try CLIPAttention(w / "self_attn", c.hiddenSize, heads: c.numAttentionHeads),
                mlp: try CLIPMLP(w / "mlp", c.hiddenSize, c.intermediateSize, c.hiddenAct))
        }
    }

    /// The states after the embeddings and after each layer: layers + 1 tensors [N, T, D].
    func hiddenStates(_ x: Tensor, causal: Bool) -> [Tensor] {
        layers.reduce(into: [x]) { states, layer in states.append(layer(states[states.count - 1], causal: causal)) }
    }
}

/// What both towers' config.json files have.
protocol CLIPTowerConfig {
    var hiddenSize: Int { get }
    var intermediateSize: Int { get }
    var numHiddenLayers: Int { get }
    var numAttentionHeads: Int { get }
    var hiddenAct: Activation { get }
    var layerNormEps: Float { get }
}

extension CLIPTowerConfig {
    /// Refuses sizes that no tower has.
    func requireTowerSizes(in file: String) throws {
        try requireSizes(in: file, ["hidden_size": [hiddenSize], "intermediate_size": [intermediateSize]])
        try requireSizes(in: file, ["num_hidden_layers": [numHiddenLayers]], upTo: 1024)
        try requireSizes(in: file, ["num_attention_heads": [numAttentionHeads]], upTo: hiddenSize)
        guard hiddenSize % numAttentionHeads == 0 else {
            throw CheckpointError(
                "\(file): num_attention_heads \(numAttentionHeads) does not divide hidden_size \(hiddenSize); "
                    + "copy the file from the model's page")
        }
    }
}
