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
    }

    /// a·x + b for every number x.
    public func scaled(by a: Float, plus b: Float = 0) -> Tensor {
        map { lk_affine($0, $1, count, a, b) }
    }

    /// a·self + b·other, elementwise.
    public func blended(_ a: Float, _ b: Float, with other: Tensor) -> Tensor {
        precondition(shape == other.shape, "\(shape) and \(other.shape) differ")
        return map { lk_blend($0, $1, other.pointer, count, a, b) }
    }

    /// Every number moved into `low ... high`.
    public func clamped(_ low: Float, _ high: Float) -> Tensor {
        map { lk_clamp($0, $1, count, low, high) }
    }

    /// e to the power of every number.
    public func exponential() -> Tensor {
        Tensor(shape: shape) { out in
            withUnsafeBuffer { for (i, x) in $0.enumerated() { out[i] = exp(x) } }
        }
    }

    /// Elementwise sum.
    public static func + (a: Tensor, b: Tensor) -> Tensor { a.blended(1, 1, with: b) }

    /// Elementwise difference.
    public static func - (a: Tensor, b: Tensor) -> Tensor { a.blended(1, -1, with: b) }

    /// Elementwise product.
    public static func * (a: Tensor, b: Tensor) -> Tensor {
        precondition(a.shape == b.shape, "\(a.shape) and \(b.shape) differ")
        return a.map { lk_multiply($0, $1, b.pointer, a.count) }
    }

    /// x [N, H, W, C] + z [N, C], the same for every pixel.
    public func addingPerChannel(_ z: Tensor) -> Tensor {
        let (n, c) = (shape[0], shape[shape.count - 1])
        precondition(z.shape == [n, c], "\(z.shape) is not [\(n), \(c)]")
        return map { lk_add_per_channel($0, $1, z.pointer, n, count / n / c, c) }
    }

    /// x [..., T, D] + z [T, D], the same for every batch row.
    public func addingRows(_ z: Tensor) -> Tensor {
        let d = shape[shape.count - 1]
        precondition(z.shape.last == d && count % z.count == 0, "\(z.shape) does not repeat along \(shape)")
        return map { lk_add_rows($0, $1, z.pointer, count / d, d, z.count / d) }
    }

    /// GEGLU: the first half of the last axis times gelu of the second half; x [..., 2D] → [..., D].
    public func geglu() -> Tensor {
        let d = shape[shape.count - 1] / 2
        return Tensor(shape: shape.dropLast() + [d]) { out in
            withExtendedLifetime(storage) {
                Profile.measure(.elementwise) { lk_geglu(out.baseAddress, pointer, count / (2 * d), d) }
            }
        }
    }

    /// Softmax over the last axis.
    public func softmax() -> Tensor {
        let d = shape[shape.count - 1]
        return map { lk_softmax($0, $1, count / d, d) }
    }

    private func map(_ kernel: (UnsafeMutablePointer<Float>?, UnsafePointer<Float>?) -> Void) -> Tensor {
        Tensor(shape: shape) { out in
            withExtendedLifetime(storage) {
                Profile.measure(.elementwise) { kernel(out.baseAddress, pointer) }
            }
        }
    }
}
