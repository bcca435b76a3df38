public import ImageIO
public import TensorEngine

extension RGBImage {
    /// [1, H, W, 3] with every level v as v / 255 · scale + offset.
    public func tensor(scale: Float, offset: Float) -> Tensor {
        Tensor(pixels.map { Float($0) / 255 * scale + offset }, shape: [1, height, width, 3])
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
