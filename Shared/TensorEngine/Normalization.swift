internal import CKernels

/// What group normalisation does to [N, ..., C]: mean 0 and variance 1 over all but the first axis within each of `groups`
/// groups of channels, then `weight` and `bias` [C] for each channel, then SiLU if asked.
public struct GroupNormalization: Sendable {
    let groups: Int
    let weight, bias: Tensor
    let eps: Float
    let silu: Bool

    /// `groups` must divide the number of channels.
    public init(groups: Int, weight: Tensor, bias: Tensor, eps: Float, silu: Bool = false) {
        precondition(weight.count % groups == 0 && weight.shape == bias.shape, "GroupNorm with weight \(weight.shape)")
        (self.groups, self.weight, self.bias, self.eps, self.silu) = (groups, weight, bias, eps, silu)
    }

    /// What each channel of `x` is multiplied by and then raised by: [N, 2, C].
    func scales(of x: Tensor) -> Tensor {
        let (n, c) = (x.shape[0], x.shape[x.shape.count - 1])
        precondition(weight.shape == [c], "GroupNorm of \(x.shape) with weight \(weight.shape)")
        let sums = x.channelSums ?? ChannelSums(of: x)
        return Tensor(shape: [n, 2, c]) { scales in
            withExtendedLifetime((sums.memory, weight.storage, bias.storage)) {
                lk_group_scales(
                    scales.baseAddress, sums.pointer, weight.pointer, bias.pointer, n, x.count / n / c, c, groups, eps)
            }
        }
    }
}

extension Tensor {
    /// Group normalisation of [N, ..., C], for `reader`.
    public func groupNormalized(_ norm: GroupNormalization, for reader: Reader = .any) -> Tensor {
        let (n, c) = (shape[0], shape[shape.count - 1])
        return Tensor(shape: shape, for: reader) { out, format in
            Profile.measure(.normalization) {
                let scales = norm.scales(of: self)
                withExtendedLifetime((storage, scales.storage)) {
                    lk_scale_channels(out, format, pointer, scales.pointer, n, count / n / c, c, norm.silu)
                }
            }
        }
        .recorded(self, norm.weight, norm.bias) { [x = self] dy, sums in
            x.normalizationGradients(norm.weight, norm.bias, &sums) { dx, dw, db in
                withExtendedLifetime((x.storage, dy.storage, norm.weight.storage, norm.bias.storage)) {
                    lk_group_norm_backward(
                        dx, dw, db, dy.pointer, x.pointer, norm.weight.pointer, norm.bias.pointer, n, x.count / n / c,
                        c, norm.groups, norm.eps, norm.silu)
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
