public import ImageIO
public import TensorEngine

/// Photo → what the vision tower reads. Matches transformers `CLIPImageProcessor` on Pillow: the shorter side resized to
/// `size` (bicubic, antialiased), the centre cut out, levels scaled to 0 … 1 and normalised.
public struct CLIPImageProcessor: Sendable {
    /// Side of the result in pixels.
    public let size: Int

    /// Of each channel of the levels / 255, over the pictures that OpenAI's CLIP was trained on.
    package static let mean: [Float] = [0.48145466, 0.4578275, 0.40821073]
    package static let deviation: [Float] = [0.26862954, 0.26130258, 0.27577711]

    /// A processor for a vision tower's `image_size`.
    public init(size: Int = 224) { self.size = size }

    /// The square that the tower sees.
    public func crop(_ image: RGBImage) -> RGBImage { image.clipCrop(size: size) }

    /// The photo's pixel values, [1, size, size, 3].
    public func callAsFunction(_ image: RGBImage) -> Tensor { Self.normalized(crop(image)) }

    /// (level / 255 − mean) / deviation for every channel, [1, H, W, 3].
    public static func normalized(_ crop: RGBImage) -> Tensor {
        let values = crop.pixels.enumerated().map { i, level in
            (Float(level) / 255 - mean[i % 3]) / deviation[i % 3]
        }
        return Tensor(values, shape: [1, crop.height, crop.width, 3])
    }
}
