internal import CKernels
import Foundation

/// A function applied to every number, by the names of `hidden_act` and `act_fn` in config.json files.
public enum Activation: String, Codable, Sendable {
    /// x · σ(x), also called swish.
    case silu
    /// x · Φ(x) with the exact Gaussian distribution function.
    case gelu
    /// x · σ(1.702 x), OpenAI CLIP's approximation of gelu.
    case quickGelu = "quick_gelu"
    /// max(x, 0)
    case relu

    var kernel: lk_activation {
        switch self {
        case .silu: LK_SILU
        case .gelu: LK_GELU_ERF
        case .quickGelu: LK_QUICK_GELU
        case .relu: LK_RELU
        }
    }
}

extension Tensor {
    /// `activation` of every number.
    public func activated(_ activation: Activation) -> Tensor {
        map { lk_activate($0, $1, count, activation.kernel) }
            .recorded(self) { [x = self] dy, sums in
                sums.add(
                    dy.mapped(with: x) {
                        lk_activate_backward($0, $2.baseAddress, $1.baseAddress, x.count, activation.kernel)
                    }, to: x)
            }
    }

    /// a·x + b for every number x.
    public func scaled(by a: Float, plus b: Float = 0) -> Tensor {
        map { lk_affine($0, $1, count, a, b) }
            .recorded(self) { [x = self] dy, sums in sums.add(dy.scaled(by: a), to: x) }
    }

    /// a·self + b·other, elementwise.
    public func blended(_ a: Float, _ b: Float, with other: Tensor) -> Tensor {
        precondition(shape == other.shape, "\(shape) and \(other.shape) differ")
        return map { lk_blend($0, $1, other.pointer, count, a, b) }
            .recorded(self, other) { [x = self] dy, sums in
                sums.add(a == 1 ? dy : dy.scaled(by: a), to: x)
                sums.add(b == 1 ? dy : dy.scaled(by: b), to: other)
            }
    }

    /// Every number moved into `low ... high`.
    public func clamped(_ low: Float, _ high: Float) -> Tensor {
        map { lk_clamp($0, $1, count, low, high) }
            .recorded(self) { [x = self] dy, sums in
                sums.add(
                    dy.mapped(with: x) { out, dy, x in
                        for i in 0..<dy.count { out[i] = low <= x[i] && x[i] <= high ? dy[i] : 0 }
                    }, to: x)
            }
    }

    /// e to the power of every number.
    public func exponential() -> Tensor {
        let y = Tensor(shape: shape) { out in
            withUnsafeBuffer { for (i, x) in $0.enumerated() { out[i] = exp(x) } }
        }
        return y.recorded(self) { [x = self] dy, sums in sums.add(dy * y, to: x) }
    }

    /// Elementwise sum.
    public static func + (a: Tensor, b: Tensor) -> Tensor { a.blended(1, 1, with: b) }

    /// Elementwise difference.
    public static func - (a: Tensor, b: Tensor) -> Tensor { a.blended(1, -1, with: b) }

    /// Elementwise product.
    public static func * (a: Tensor, b: Tensor) -> Tensor {
        precondition(a.shape == b.shape, "\(a.shape) and \(b.shape) differ")
        return a.map { lk_multiply($0, $1, b.pointer, a.count) }
            .recorded(a, b) { dy, sums in
                sums.add(dy * b.detached(), to: a)
                sums.add(dy * a.detached(), to: b)
            }
    }

    /// x [N, H, W, C] + z [N, C], the same for every pixel.
    public func addingPerChannel(_ z: Tensor) -> Tensor {
        let (n, c) = (shape[0], shape[shape.count - 1])
        precondition(z.shape == [n, c], "\(z.shape) is not [\(n), \(c)]")
        return map { lk_add_per_channel($0, $1, z.pointer, n, count / n / c, c) }
            .recorded(self, z) { [x = self] dy, sums in
                sums.add(dy, to: x)
                sums.add(dy.reshaped([n, -1, c]).summedOverTokens(), to: z)
            }
    }

    /// x [..., T, D] + z [T, D], the same for every batch row.
    public func addingRows(_ z: Tensor) -> Tensor {
        let d = shape[shape.count - 1]
        precondition(z.shape.last == d && count % z.count == 0, "\(z.shape) does not repeat along \(shape)")
        return map { lk_add_rows($0, $1, z.pointer, count / d, d, z.count / d) }
            .recorded(self, z) { [x = self] dy, sums in
                sums.add(dy, to: x)
                sums.add(dy.reshaped([1, -1, z.count]).summedOverTokens(), to: z)
            }
    }

    /// GEGLU: the first half of the last axis times gelu of the second half; x [..., 2D] → [..., D].
    public func geglu() -> Tensor {
        let d = shape[shape.count - 1] / 2
        return Tensor(shape: shape.dropLast() + [d]) { out in
            withExtendedLifetime(storage) {
                Profile.measure(.elementwise) { lk_geglu(out.baseAddress, pointer, count / (2 * d), d) }
            }
        }
        .recorded(self) { [x = self] dy, sums in
            sums.add(
                Tensor(shape: x.shape) { out in
                    withExtendedLifetime((x.storage, dy.storage)) {
                        lk_geglu_backward(out.baseAddress, x.pointer, dy.pointer, x.count / (2 * d), d)
                    }
                }, to: x)
        }
    }

    /// Softmax over the last axis.
    public func softmax() -> Tensor {
        let d = shape[shape.count - 1]
        let y = map { lk_softmax($0, $1, count / d, d) }
        return y.recorded(self) { [x = self] dy, sums in
            sums.add(
                dy.mapped(with: y) { lk_softmax_backward($0, $2.baseAddress, $1.baseAddress, dy.count / d, d) }, to: x)
        }
    }

    /// A tensor of this shape that `kernel` writes from this tensor and `other`: (out, self, other).
    func mapped(
        with other: Tensor,
        _ kernel: (UnsafeMutablePointer<Float>, UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>) -> Void
    ) -> Tensor {
        Tensor(shape: shape) { out in
            guard let out = out.baseAddress else { return }
            withUnsafeBuffer { x in
                other.withUnsafeBuffer { z in Profile.measure(.elementwise) { kernel(out, x, z) } }
            }
        }
    }

    private func map(_ kernel: (UnsafeMutablePointer<Float>?, UnsafePointer<Float>?) -> Void) -> Tensor {
        Tensor(shape: shape) { out in
            withExtendedLifetime(storage) {
                Profile.measure(.elementwise) { kernel(out.baseAddress, pointer) }
            }
        }
    }
}
