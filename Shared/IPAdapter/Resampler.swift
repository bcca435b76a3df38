internal import Checkpoint
internal import NeuralNetwork
internal import TensorEngine

/// The projection of IP-Adapter Plus: learned queries that attend to all patches of a photo. Matches h94's `Resampler`
/// and diffusers' `IPAdapterPlusImageProjection`, and reads the keys of either.
///
///     q = latents;  x = proj_in(states)
///     q = q + attn(norm2(q), [norm1(x) | norm2(q)]);  q = q + ff(q)        for each layer
///     tokens = norm_out(proj_out(q))
struct Resampler: Sendable {
    private struct Layer: Sendable {
        let norm1, norm2, ffNorm: LayerNorm
        let toQ, toK, toV, toOut, ffIn, ffOut: Linear
        let heads: Int

        /// The queries' width of a head, in all published files.
        private static let headWidth = 64

        init(_ w: Weights, _ width: Int) throws {
            let isDiffusers = (w / "ln0").has("weight")
            let attn = isDiffusers ? w / "attn" : w / 0
            let inner = try (attn / "to_q").shape("weight", axes: 2)[0]
            guard inner % Self.headWidth == 0 else {
                throw CheckpointError("\(attn.path).to_q: \(inner) is no whole number of heads of \(Self.headWidth)")
            }
            heads = inner / Self.headWidth
            norm1 = try LayerNorm(isDiffusers ? w / "ln0" : attn / "norm1", width)
            norm2 = try LayerNorm(isDiffusers ? w / "ln1" : attn / "norm2", width)
            toQ = try Linear(attn / "to_q", width, inner, bias: false)
            if isDiffusers {
                toK = try Linear(attn / "to_k", width, inner, bias: false)
                toV = try Linear(attn / "to_v", width, inner, bias: false)
                toOut = try Linear(attn / "to_out" / 0, inner, width, bias: false)
            } else {
                // h94 keeps keys and values in one matrix, keys first.
                let both = try (attn / "to_kv").tensor("weight", 2 * inner, width)
                (toK, toV) = (Linear(weight: both[0..<inner]), Linear(weight: both[inner..<2 * inner]))
                toOut = try Linear(attn / "to_out", inner, width, bias: false)
            }
            let ff = isDiffusers ? w / "ff" : w / 1
            ffNorm = try LayerNorm(ff / 0, width)
            let (first, second) = isDiffusers ? (ff / 1 / "net" / 0 / "proj", ff / 1 / "net" / 2) : (ff / 1, ff / 3)
            let hidden = try first.shape("weight", axes: 2)[0]
            ffIn = try Linear(first, width, hidden, bias: false)
            ffOut = try Linear(second, hidden, width, bias: false)
        }

        func callAsFunction(_ q: Tensor, _ x: Tensor) -> Tensor {
            let queries = norm2(q)
            let seen = Tensor.rowsJoined(norm1(x), queries)
            let y = q + toOut(toQ(queries).attention(keys: toK(seen), values: toV(seen), heads: heads))
            return y + ffOut(ffIn(ffNorm(y), activation: .gelu))
        }
    }

    private let latents: Tensor
    private let projIn, projOut: Linear
    private let normOut: LayerNorm
    private let layers: [Layer]
    /// Tokens of a photo, width of what is read, width of a token.
    let tokens, inputs, width: Int

    init(_ w: Weights) throws {
        let shape = try w.shape("latents", axes: 3)  // [1, tokens, D]
        (tokens, inputs, width) = (
            shape[1], try (w / "proj_in").shape("weight", axes: 2)[1],
            try (w / "proj_out").shape("weight", axes: 2)[0]
        )
        latents = try w.tensor("latents", 1, shape[1], shape[2])
        projIn = try Linear(w / "proj_in", inputs, shape[2])
        projOut = try Linear(w / "proj_out", shape[2], width)
        normOut = try LayerNorm(w / "norm_out", width)
        var layers: [Layer] = []
        while true {
            let layer = w / "layers" / layers.count
            guard (layer / 0 / "to_q").has("weight") || (layer / "attn" / "to_q").has("weight") else { break }
            layers.append(try Layer(layer, shape[2]))
        }
        self.layers = layers
    }

    /// Hidden states [M, patches + 1, E] → [M, tokens, D].
    func callAsFunction(_ states: Tensor) -> Tensor {
        let x = projIn(states)
        var q = Tensor.stacked(Array(repeating: latents, count: states.shape[0]))
        for layer in layers { q = layer(q, x) }
        return normOut(projOut(q))
    }
}

extension Tensor {
    /// [N, A, D] and [N, B, D] → [N, A + B, D].
    fileprivate static func rowsJoined(_ a: Tensor, _ b: Tensor) -> Tensor {
        let (n, d) = (a.shape[0], a.shape[2])
        let rows = (0..<n).flatMap { [a[$0], b[$0]] }
        return Tensor.stacked(rows).reshaped([n, a.shape[1] + b.shape[1], d])
    }
}
