public import ImageIO
public import TensorEngine

extension RGBImage {
    /// [1, H, W, 3] with every level v as v / 255 · scale + offset.
    public func tensor(scale: Float, offset: Float) -> Tensor {
        Tensor(pixels.map { Float($0) / 255 * scale + offset }, shape: [1, height, width, 3])
    }

    /// 1 where the picture is light, 0 where it is dark: Pillow's `convert("L")`, then at least one half, in row order.
    var binaryMask: [Float] {
        (0..<width * height).map { i in
            let (r, g, b) = (Int(pixels[3 * i]), Int(pixels[3 * i + 1]), Int(pixels[3 * i + 2]))
            return (19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16 >= 128 ? 1 : 0
        }
    }

    /// The picture of a decoder's output [1, H, W, 3] in -1 ... 1: level = round(255 · clamp(x / 2 + 1/2, 0, 1)), as
    /// diffusers' `VaeImageProcessor`.
    public init(decoded tensor: Tensor) {
        let levels = tensor.scaled(by: 0.5, plus: 0.5).clamped(0, 1).scaled(by: 255).scalars
        self.init(
            width: tensor.shape[2], height: tensor.shape[1],
            pixels: levels.map { UInt8($0.rounded(.toNearestOrEven)) })
    }
}
