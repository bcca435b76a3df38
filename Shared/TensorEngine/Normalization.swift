internal import CKernels

extension Tensor {
    /// Group normalisation of [N, ..., C] over all but the first axis within each of `groups` groups of channels,
    /// followed by SiLU if asked (one pass over memory less than two layers).
    public func groupNormalized(groups: Int, weight: Tensor, bias: Tensor, eps: Float, silu: Bool = false) -> Tensor {
        let (n, c) = (shape[0], shape[shape.count - 1])
        precondition(c % groups == 0 && weight.shape == [c] && bias.shape == [c], "GroupNorm of \(shape)")
        return Tensor(shape: shape) { out in
            withExtendedLifetime((storage, weight.storage, bias.storage)) {
                Profile.measure(.normalization) {
                    lk_group_norm(
                        out.baseAddress, pointer, weight.pointer, bias.pointer, n, count / n / c, c, groups, eps, silu)
                }
            }
        }
    }

    /// Layer normalisation over the last axis.
    public func layerNormalized(weight: Tensor, bias: Tensor, eps: Float) -> Tensor {
        let d = shape[shape.count - 1]
        precondition(weight.shape == [d] && bias.shape == [d], "LayerNorm of \(shape) with weight \(weight.shape)")
        return Tensor(shape: shape) { out in
            withExtendedLifetime((storage, weight.storage, bias.storage)) {
                Profile.measure(.normalization) {
                    lk_layer_norm(out.baseAddress, pointer, weight.pointer, bias.pointer, count / d, d, eps)
                }
            }
        }
    }
}
