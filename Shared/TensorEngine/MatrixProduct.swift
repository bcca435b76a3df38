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
    }
}
