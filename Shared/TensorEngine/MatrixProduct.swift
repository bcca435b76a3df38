internal import CKernels
internal import COneDNN

extension Tensor {
    /// x Wᵀ + b, then `activation`, then + `residual`: `torch.nn.functional.linear` over the last axis.
    ///
    /// The weights are read where they are, in the checkpoint's order and number format, so that a mapped file is not
    /// copied and processes share its pages.
    ///
    /// - Parameters:
    ///   - weight: [out, in]
    ///   - bias: [out]
    ///   - residual: [..., out]
    ///   - reader: what reads the result
    /// - Returns: [..., out] for self [..., in]
    public func linear(
        _ weight: Tensor, bias: Tensor? = nil, activation: Activation? = nil, residual: Tensor? = nil,
        for reader: Reader = .any
    ) -> Tensor {
        // The activation's gradient needs what comes before it.
        if let activation, Tensor.isRecording([self, weight, bias, residual]) {
            let y = linear(weight, bias: bias).activated(activation)
            return residual.map { $0 + y } ?? y
        }
        let (out, k) = (weight.shape[0], weight.shape[1])
        return multiplied(
            by: weight, bias, residual, width: out, finish: activation == nil ? LK_PLAIN : LK_ACTIVATED, activation,
            reader
        )
        .recorded(self, weight, bias, residual) { [x = self] dy, sums in
            let m = x.count / k
            let rows = dy.reshaped([m, out])
            sums.add(Tensor.product(rows, (m, out, dnnl_ab), weight, (out, k, dnnl_ab)), to: x)
            sums.add(Tensor.product(rows, (out, m, dnnl_ba), x, (m, k, dnnl_ab)), to: weight)
            sums.add(rows.reshaped([1, m, out]).summedOverTokens(), to: bias)
            sums.add(dy, to: residual)
        }
    }

    /// `linear(weight, bias:).geglu()` without the tensor of twice the width between them.
    ///
    /// - Parameters:
    ///   - weight: [2·out, in]
    ///   - bias: [2·out]
    /// - Returns: [..., out] for self [..., in]
    public func gatedLinear(_ weight: Tensor, bias: Tensor? = nil, for reader: Reader = .any) -> Tensor {
        if Tensor.isRecording([self, weight, bias]) { return linear(weight, bias: bias).geglu() }
        return multiplied(by: weight, bias, nil, width: weight.shape[0] / 2, finish: LK_GATED, nil, reader)
    }

    private func multiplied(
        by weight: Tensor, _ bias: Tensor?, _ residual: Tensor?, width: Int, finish: lk_finish,
        _ activation: Activation?, _ reader: Reader
    ) -> Tensor {
        let (out, k) = (weight.shape[0], weight.shape[1])
        precondition(shape.last == k, "a linear layer \(weight.shape) cannot read \(shape)")
        precondition(finish != LK_GATED || out == 2 * width, "\(out) outputs are not numbers and their gates")
        let wanted: [Int] = shape.dropLast() + [width]
        precondition(residual.map { $0.shape == wanted } ?? true, "not \(wanted) to be added")
        let (stored, x) = (weight.weights, read(by: .product))
        return Tensor(shape: wanted, for: reader) { result, format in
            withExtendedLifetime((storage, weight.storage, bias?.storage, residual?.storage)) {
                var args = lk_linear_args(
                    y: result, x: x.pointer, weights: stored.pointer, y_format: format, x_format: x.format,
                    format: stored.format, bias: bias?.pointer, residual: residual?.pointer, finish: finish,
                    activation: (activation ?? .relu).kernel, rows: count / k, inputs: k, outputs: out,
                    bf16: Precision.roundsProducts)
                Profile.measure(.linear, flops: 2 * Double(count) * Double(out)) { lk_linear(&args) }
            }
        }
    }

    /// a b with each matrix (rows, columns, order): `dnnl_ba` reads a row-major [columns, rows] as its transpose.
    private static func product(
        _ a: Tensor, _ left: (Int, Int, dnnl_format_tag_t), _ b: Tensor, _ right: (Int, Int, dnnl_format_tag_t)
    ) -> Tensor {
        let (m, k, n) = (left.0, left.1, right.1)
        let primitive = OneDNN.primitive([3, m, k, n, Int(left.2.rawValue), Int(right.2.rawValue)]) {
            var (source, weights) = (OneDNN.layout([m, k], left.2), OneDNN.layout([k, n], right.2))
            var destination = OneDNN.layout([m, n], dnnl_ab)
            var operation = dnnl_matmul_desc_t()
            OneDNN.check(dnnl_matmul_desc_init(&operation, &source, &weights, nil, &destination), "matmul")
            let attributes = OneDNN.attributes(nil)
            defer { dnnl_primitive_attr_destroy(attributes) }
            return Primitive(&operation, attributes: attributes)
        }
        return Tensor(shape: [m, n]) { result in
            guard let result = result.baseAddress else { return }
            withExtendedLifetime((a.storage, b.storage)) {
                Profile.measure(.linear, flops: 2 * Double(m * n) * Double(k)) {
                    primitive.execute([
                        (DNNL_ARG_SRC, OneDNN.layout([m, k], left.2), UnsafeMutableRawPointer(a.pointer)),
                        (DNNL_ARG_WEIGHTS, OneDNN.layout([k, n], right.2), UnsafeMutableRawPointer(b.pointer)),
                        (DNNL_ARG_DST, OneDNN.layout([m, n], dnnl_ab), UnsafeMutableRawPointer(result)),
                    ])
                }
            }
        }
    }

    /// [R, D] → [D, R]
    public func transposed() -> Tensor {
        reshaped([1, 1, shape[0], shape[1]]).channelsFirst().reshaped([shape[1], shape[0]])
    }
}
