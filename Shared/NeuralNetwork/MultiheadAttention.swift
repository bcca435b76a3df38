public import Checkpoint
public import TensorEngine

/// Self-attention with packed projections. Matches `torch.nn.MultiheadAttention(batch_first=True)`; keys
/// `in_proj_weight` [3D, D] (rows q, k, v), `in_proj_bias`, `out_proj.weight`, `out_proj.bias`.
public struct MultiheadAttention: Sendable {
    let inProjWeight: Tensor
    let inProjBias: Tensor
    let outProj: Linear
    let heads: Int

    /// `heads` must divide `features`.
    public init(_ w: Weights, _ features: Int, heads: Int) throws {
        guard heads > 0, features % heads == 0 else {
            throw CheckpointError("\(w.path): \(heads) heads do not divide \(features) features")
        }
        inProjWeight = try w.tensor("in_proj_weight", 3 * features, features)
        inProjBias = try w.tensor("in_proj_bias", 3 * features)
        outProj = try Linear(w / "out_proj", features, features)
        self.heads = heads
    }

    /// [N, T, D] → [N, T, D]
    public func callAsFunction(_ x: Tensor) -> Tensor {
        let (q, k, v) = projected(x)
        return outProj(q.attention(keys: k, values: v, heads: heads))
    }

    /// The softmax weights of every head: [N, heads, T, T].
    public func weights(_ x: Tensor) -> Tensor {
        let (n, t, d) = (x.shape[0], x.shape[1], x.shape[2] / heads)
        let (q, k, _) = projected(x)
        var rows: [Tensor] = []
        for i in 0..<n {
            for head in 0..<heads {
                let query = q[i].columns(head * d..<(head + 1) * d)
                let key = k[i].columns(head * d..<(head + 1) * d)
                rows.append(query.linear(key).scaled(by: 1 / Float(d).squareRoot()).softmax().reshaped([1, t, t]))
            }
        }
        return Tensor.stacked(rows).reshaped([n, heads, t, t])
    }

    private func projected(_ x: Tensor) -> (Tensor, Tensor, Tensor) {
        let d = x.shape[2]
        func part(_ i: Int) -> Tensor {
            x.linear(inProjWeight[i * d..<(i + 1) * d], bias: inProjBias[i * d..<(i + 1) * d])
        }
        return (part(0), part(1), part(2))
    }
}
