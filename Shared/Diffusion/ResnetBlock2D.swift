internal import Checkpoint
internal import NeuralNetwork
internal import TensorEngine

/// Residual block, with or without time conditioning. Matches diffusers `ResnetBlock2D`; keys `….resnets.{j}.*`.
///
///     h = conv1(silu(norm1(x))) + time_emb_proj(silu(t))
///     y = conv_shortcut(x) + conv2(silu(norm2(h)))
///
/// Shapes: x [N, H, W, Cin], silu(t) [N, T] → [N, H, W, Cout]. Limitation: no scale-shift variant.
struct ResnetBlock2D: Sendable {
    let norm1, norm2: GroupNorm
    let conv1, conv2: Conv2d
    let timeEmbProj: Linear?
    let convShortcut: Linear?
    let name: String

    init(_ w: Weights, _ cin: Int, _ cout: Int, time: Int?, groups: Int, eps: Float) throws {
        norm1 = try GroupNorm(w / "norm1", groups: groups, channels: cin, eps: eps)
        conv1 = try Conv2d(w / "conv1", cin, cout, kernel: 3, padding: .init(1))
        timeEmbProj = try time.map { try Linear(w / "time_emb_proj", $0, cout) }
        norm2 = try GroupNorm(w / "norm2", groups: groups, channels: cout, eps: eps)
        conv2 = try Conv2d(w / "conv2", cout, cout, kernel: 3, padding: .init(1))
        // A 1×1 convolution of channels-last pixels is a linear layer.
        convShortcut = cin == cout ? nil : try Linear(w / "conv_shortcut", cin, cout)
        name = w.path
    }

    /// - Parameter time: silu of the time embedding, which every block begins with; rows that x lacks are those of the same
    ///   latent and left out
    func callAsFunction(_ x: Tensor, time: Tensor? = nil) -> Tensor {
        let h = conv1(
            x, after: norm1,
            perPicture: time.flatMap { timeEmbProj?($0.shape[0] == x.shape[0] ? $0 : $0[0..<x.shape[0]]) },
            for: .convolution)
        return conv2(h, after: norm2, residual: convShortcut.map { $0(x) } ?? x)
    }
}

/// 3×3 convolution of stride 2. Matches diffusers `Downsample2D`; key `conv`.
struct Downsample2D: Sendable {
    let conv: Conv2d
    let name: String

    /// - Parameter padding: one pixel all round in the UNet; one right and bottom in the VAE's encoder
    init(_ w: Weights, _ channels: Int, padding: ConvolutionFilter.Padding) throws {
        conv = try Conv2d(w / "conv", channels, channels, kernel: 3, stride: 2, padding: padding)
        name = w.path
    }

    func callAsFunction(_ x: Tensor) -> Tensor { conv(x) }
}

/// Nearest-neighbour upsampling, then a 3×3 convolution. Matches diffusers `Upsample2D`; key `conv`.
struct Upsample2D: Sendable {
    let conv: Conv2d

    init(_ w: Weights, _ channels: Int) throws {
        conv = try Conv2d(w / "conv", channels, channels, kernel: 3, padding: .init(1))
    }

    /// - Parameter size: height and width of the result; twice x's if nil
    func callAsFunction(_ x: Tensor, to size: (Int, Int)? = nil) -> Tensor {
        guard let size, size != (2 * x.shape[1], 2 * x.shape[2]) else { return conv(x, upsampled: true) }
        return conv(x.upsampledNearest(height: size.0, width: size.1))
    }
}
