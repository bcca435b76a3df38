internal import CKernels

extension Tensor {
    /// Group normalisation of [N, ..., C] over all but the first axis within each of `groups` groups of channels,
    /// followed by SiLU if asked (one pass over memory less than two layers).
    public func groupNormalized(
        groups: Int, weight: Tensor, bias: Tensor, eps: Float, silu: Bool = false, for reader: Reader = .any
    ) -> Tensor {
        let (n, c) = (shape[0], shape[shape.count - 1])
        precondition(c % groups == 0 && weight.shape == [c] && bias.shape == [c], "GroupNorm of \(shape)")
        return Tensor(shape: shape, for: reader) { out, format in
            withExtendedLifetime((storage, weight.storage, bias.storage)) {
                Profile.measure(.normalization) {
                    lk_group_norm(
                        out, format, pointer, weight.pointer, bias.pointer, n, count / n / c, c, groups, eps, silu)
                }
            }
        }
        .recorded(self, weight, bias) { [x = self] dy, sums in
            x.normalizationGradients(weight, bias, &sums) { dx, dw, db in
                withExtendedLifetime((x.storage, dy.storage, weight.storage, bias.storage)) {
                    lk_group_norm_backward(
                        dx, dw, db, dy.pointer, x.pointer, weight.pointer, bias.pointer, n, x.count / n / c, c, groups,
                        eps, silu)
                }
            }
        }
    }

    /// Layer normalisation over the last axis.
    public func layerNormalized(weight: Tensor, bias: Tensor, eps: Float, for reader: Reader = .any) -> Tensor {
        let d = shape[shape.count - 1]
        precondition(weight.shape == [d] && bias.shape == [d], "LayerNorm of \(shape) with weight \(weight.shape)")
        return Tensor(shape: shape, for: reader) { out, format in
            withExtendedLifetime((storage, weight.storage, bias.storage)) {
                Profile.measure(.normalization) {
                    lk_layer_norm(out, format, pointer, weight.pointer, bias.pointer, count / d, d, eps)
                }
            }
        }
        .recorded(self, weight, bias) { [x = self] dy, sums in
            x.normalizationGradients(weight, bias, &sums) { dx, dw, db in
                withExtendedLifetime((x.storage, dy.storage, weight.storage, bias.storage)) {
                    lk_layer_norm_backward(
                        dx, dw, db, dy.pointer, x.pointer, weight.pointer, x.count / d, d, eps)
                }
            }
        }
    }

    /// Adds the gradients by x, weight and bias that `kernel` computes in one pass; x's only if it is needed.
    private func normalizationGradients(
        _ weight: Tensor, _ bias: Tensor, _ sums: inout Gradients,
        _ kernel: (UnsafeMutablePointer<Float>?, UnsafeMutablePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void
    ) {
        var dx: Tensor?
        let both = Tensor(shape: [2, weight.count]) { parameters in
            let (dw, db) = (parameters.baseAddress, parameters.baseAddress.map { $0 + weight.count })
            Profile.measure(.normalization) {
                guard requiresGradient else { return kernel(nil, dw, db) }
                dx = Tensor(shape: shape) { kernel($0.baseAddress, dw, db) }
            }
        }
        if let dx { sums.add(dx, to: self) }
        sums.add(both[0], to: weight)
        sums.add(both[1], to: bias)
    }
}
