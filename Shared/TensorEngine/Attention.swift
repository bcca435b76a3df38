internal import CKernels

extension Tensor {
    /// Scaled dot-product attention of `heads` heads: softmax(q kᵀ / √d [+ causal mask]) v, with self as q.
    ///
    /// - Parameters:
    ///   - keys: k [N, K, D]
    ///   - values: v [N, K, D]
    ///   - heads: divides D; head j uses features j·d ..< (j+1)·d, d = D / heads
    ///   - causal: query i sees keys 0 ... i only
    ///   - reader: what reads the result
    /// - Returns: [N, Q, D] for q [N, Q, D]
    public func attention(
        keys: Tensor, values: Tensor, heads: Int, causal: Bool = false, for reader: Reader = .any
    ) -> Tensor {
        Tensor(shape: shape, for: reader) { out, format in
            attend(keys, values, heads, causal, weight: 1, into: out, format, accumulate: false)
        }
        .recorded(self, keys, values) { [q = self] dy, sums in
            q.attentionGradients([(keys, values, 1)], heads, causal, dy, &sums)
        }
    }

    /// Decoupled cross-attention (paper eq. 17): Attn(q, k, v) + λ · Attn(q, k', v'), self being q.
    ///
    /// Both softmaxes stand alone; shapes as in `attention`.
    public func decoupledAttention(
        keys: Tensor, values: Tensor, imageKeys: Tensor, imageValues: Tensor, scale: Float, heads: Int
    ) -> Tensor {
        Tensor(shape: shape, for: .any) { out, format in
            attend(keys, values, heads, false, weight: 1, into: out, format, accumulate: false)
            attend(imageKeys, imageValues, heads, false, weight: scale, into: out, format, accumulate: true)
        }
        .recorded(self, keys, values, imageKeys, imageValues) { [q = self] dy, sums in
            q.attentionGradients([(keys, values, 1), (imageKeys, imageValues, scale)], heads, false, dy, &sums)
        }
    }

    private func attentionGradients(
        _ parts: [(keys: Tensor, values: Tensor, weight: Float)], _ heads: Int, _ causal: Bool, _ dy: Tensor,
        _ sums: inout Gradients
    ) {
        let (n, queries, d) = (shape[0], shape[1], shape[2])
        var found: [(Tensor, Tensor)] = []
        let dq = Tensor(shape: shape) { dq in
            for (i, part) in parts.enumerated() {
                let (keys, values) = (part.keys, part.values)
                var dk: Tensor?
                let dv = Tensor(shape: values.shape) { dv in
                    dk = Tensor(shape: keys.shape) { dk in
                        var args = lk_attention_gradient_args(
                            dq: dq.baseAddress, dk: dk.baseAddress, dv: dv.baseAddress, d_o: dy.pointer, q: pointer,
                            k: keys.pointer, v: values.pointer, batch: n, heads: heads, queries: queries,
                            keys: keys.shape[1], head_dim: d / heads, scale: 1 / Float(d / heads).squareRoot(),
                            weight: part.weight, causal: causal, accumulate_q: i > 0)
                        withExtendedLifetime((storage, dy.storage, keys.storage, values.storage)) {
                            Profile.measure(.attention, flops: 10 * Double(n * queries * d) * Double(keys.shape[1])) {
                                lk_attention_backward(&args)
                            }
                        }
                    }
                }
                if let dk { found.append((dk, dv)) }
            }
        }
        sums.add(dq, to: self)
        for (part, gradient) in zip(parts, found) {
            sums.add(gradient.0, to: part.keys)
            sums.add(gradient.1, to: part.values)
        }
    }

    private func attend(
        _ keys: Tensor, _ values: Tensor, _ heads: Int, _ causal: Bool, weight: Float,
        into out: UnsafeMutableRawPointer, _ format: lk_format, accumulate: Bool
    ) {
        let (n, queries, d) = (shape[0], shape[1], shape[2])
        precondition(
            keys.shape == values.shape && keys.shape[0] == n && keys.shape[2] == d && d % heads == 0,
            "attention of q \(shape), k \(keys.shape), v \(values.shape) with \(heads) heads")
        // Words are of one head.
        let reader: Reader = d / heads % 2 == 0 ? .product : .any
        let (q, k, v) = (read(by: reader), keys.read(by: reader), values.read(by: reader))
        withExtendedLifetime((storage, keys.storage, values.storage)) {
            var args = lk_attention_args(
                o: out, q: q.pointer, k: k.pointer, v: v.pointer, o_format: format, q_format: q.format,
                k_format: k.format, v_format: v.format, batch: n, heads: heads, queries: queries,
                keys: keys.shape[1], head_dim: d / heads, q_stride: d, k_stride: d, v_stride: d, o_stride: d,
                scale: 1 / Float(d / heads).squareRoot(), weight: weight, causal: causal, accumulate: accumulate,
                bf16: Precision.roundsProducts, scratch: nil)
            var floats = 0
            lk_attention_scratch(&floats, &args)
            let scratch = Storage(count: floats)
            args.scratch = scratch.base
            Profile.measure(.attention, flops: 4 * Double(n * queries * d) * Double(keys.shape[1])) {
                withExtendedLifetime(scratch) { lk_attention(&args) }
            }
        }
    }
}
