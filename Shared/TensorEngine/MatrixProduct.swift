internal import CKernels
internal import COneDNN

extension Tensor {
    /// x Wᵀ + b, then `activation`: `torch.nn.functional.linear` over the last axis.
    ///
    /// The weights are read where they are, in the checkpoint's order, so that a mapped file is not copied and
    /// processes share its pages.
    ///
    /// - Parameters:
    ///   - weight: [out, in]
    ///   - bias: [out]
    /// - Returns: [..., out] for self [..., in]
    public func linear(_ weight: Tensor, bias: Tensor? = nil, activation: Activation? = nil) -> Tensor {
        // The activation's gradient needs what comes before it.
        if let activation, Tensor.isRecording([self, weight, bias]) {
            return linear(weight, bias: bias).activated(activation)
        }
        let (out, k) = (weight.shape[0], weight.shape[1])
        precondition(shape.last == k, "a linear layer \(weight.shape) cannot read \(shape)")
        let m = count / k
        let code = activation.map { Int($0.kernel.rawValue) + 1 } ?? 0
        let primitive = OneDNN.primitive([2, m, k, out, bias == nil ? 0 : 1, code]) {
            var source = OneDNN.layout([m, k], dnnl_ab)
            var weights = OneDNN.layout([k, out], dnnl_ba)
            var offsets = OneDNN.layout([1, out], dnnl_ab)
            var destination = OneDNN.layout([m, out], dnnl_ab)
            var operation = dnnl_matmul_desc_t()
            OneDNN.check(
                withUnsafePointer(to: &offsets) { offsets in
                    dnnl_matmul_desc_init(&operation, &source, &weights, bias == nil ? nil : offsets, &destination)
                }, "matmul")
            let attributes = OneDNN.attributes(activation)
            defer { dnnl_primitive_attr_destroy(attributes) }
            return Primitive(&operation, attributes: attributes)
        }
        return Tensor(shape: shape.dropLast() + [out]) { result in
            guard let result = result.baseAddress else { return }
            var arguments: [(Int32, dnnl_memory_desc_t, UnsafeMutableRawPointer)] = [
                (DNNL_ARG_SRC, primitive.layout(dnnl_query_src_md), UnsafeMutableRawPointer(pointer)),
                (DNNL_ARG_WEIGHTS, OneDNN.layout([k, out], dnnl_ba), UnsafeMutableRawPointer(weight.pointer)),
                (DNNL_ARG_DST, primitive.layout(dnnl_query_dst_md), UnsafeMutableRawPointer(result)),
            ]
            if let bias {
                let layout = OneDNN.layout([1, out], dnnl_ab)
                arguments.append((DNNL_ARG_BIAS, layout, UnsafeMutableRawPointer(bias.pointer)))
            }
            withExtendedLifetime((storage, weight.storage, bias?.storage)) {
                Profile.measure(.linear, flops: 2 * Double(m * out) * Double(k)) { primitive.execute(arguments) }
            }
        }
        .recorded(self, weight, bias) { [x = self] dy, sums in
            let rows = dy.reshaped([m, out])
            sums.add(Tensor.product(rows, (m, out, dnnl_ab), weight, (out, k, dnnl_ab)), to: x)
            sums.add(Tensor.product(rows, (out, m, dnnl_ba), x, (m, k, dnnl_ab)), to: weight)
            sums.add(rows.reshaped([1, m, out]).summedOverTokens(), to: bias)
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
