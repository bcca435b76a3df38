internal import Checkpoint
internal import NeuralNetwork
public import TensorEngine

/// What a picture brings to every cross-attention of the UNet besides its prompt: the image half of IP-Adapter.
public protocol CrossAttentionAdapter: Sendable {
    /// K' and V' [N, tokens, hidden] for the cross-attention with this module name; nil leaves it as it is.
    func imageKeysAndValues(for attention: String) -> (keys: Tensor, values: Tensor)?
    /// λ of Attn(Q, K, V) + λ · Attn(Q, K', V') for the cross-attention with this module name.
    func scale(for attention: String) -> Float
}

/// The keys and values of all cross-attentions for one prompt and person. They do not depend on the latent or the time
/// step, so they are made once for each picture, not once for each step.
public struct Conditioning: Sendable {
    struct Entry: Sendable {
        let keys, values: Tensor
        /// nil where there is no image, or λ is 0.
        var image: (keys: Tensor, values: Tensor, scale: Float)?
    }
    var entries: [String: Entry]
    /// N of the text states.
    let rows: Int

    /// Rows, tokens of the prompt, and attentions that see an image, which is what a step's shapes depend on.
    var sizes: [Int] {
        [rows, entries.values.first?.keys.shape[1] ?? 0, entries.values.reduce(0) { $0 + ($1.image == nil ? 0 : 1) }]
    }

    /// The prompt alone: λ = 0 everywhere.
    var withoutImage: Conditioning {
        Conditioning(entries: entries.mapValues { .init(keys: $0.keys, values: $0.values) }, rows: rows)
    }
}

/// Matches diffusers `Attention` with its standard processor; keys `to_q`, `to_k`, `to_v` (no bias), `to_out.0`.
///
/// Shapes: x [N, T, D], context [N, T', C] → [N, T, D]. Self-attention has C = D and itself as context.
struct Attention: Sendable {
    let toQ, toK, toV, toOut: Linear
    let heads: Int
    /// The module's name, e.g. `down_blocks.0.attentions.0.transformer_blocks.0.attn2`.
    let name: String

    init(_ w: Weights, _ features: Int, context: Int, heads: Int) throws {
        guard heads > 0, features % heads == 0 else {
            throw CheckpointError("\(w.path): \(heads) heads do not divide \(features) features")
        }
        toQ = try Linear(w / "to_q", features, features, bias: false)
        toK = try Linear(w / "to_k", context, features, bias: false)
        toV = try Linear(w / "to_v", context, features, bias: false)
        toOut = try Linear(w / "to_out" / 0, features, features)
        (self.heads, name) = (heads, w.path)
    }

    /// Self-attention, plus `residual` [N, T, D].
    func callAsFunction(_ x: Tensor, residual: Tensor? = nil) -> Tensor {
        let (q, k, v) = (toQ(x, for: .product), toK(x, for: .product), toV(x, for: .product))
        return toOut(q.attention(keys: k, values: v, heads: heads, for: .product), residual: residual)
    }

    /// Cross-attention; the two softmaxes stand alone and `to_out` is applied once, to their weighted sum.
    func callAsFunction(_ x: Tensor, _ conditioning: Conditioning, residual: Tensor? = nil) -> Tensor {
        guard let entry = conditioning.entries[name] else { preconditionFailure("no conditioning for \(name)") }
        let q = toQ(x, for: .product)
        guard let image = entry.image else {
            return toOut(
                q.attention(keys: entry.keys, values: entry.values, heads: heads, for: .product), residual: residual)
        }
        return toOut(
            q.decoupledAttention(
                keys: entry.keys, values: entry.values, imageKeys: image.keys, imageValues: image.values,
                scale: image.scale, heads: heads), residual: residual)
    }

    func conditioningEntry(_ context: Tensor, _ adapter: (any CrossAttentionAdapter)?) -> Conditioning.Entry {
        let scale = adapter?.scale(for: name) ?? 0
        let image = scale == 0 ? nil : adapter?.imageKeysAndValues(for: name)
        return Conditioning.Entry(
            keys: toK(context), values: toV(context), image: image.map { ($0.keys, $0.values, scale) })
    }
}
