public import Checkpoint
public import ImageIO
internal import NeuralNetwork
public import TensorEngine

/// Inception v3 as FID needs it: TensorFlow's network of 2015-12-05, not torchvision's. Matches torch-fidelity's
/// `FeatureExtractorInceptionV3` ("inception-v3-compat") and pytorch-fid's, whose key names it reads.
///
/// Differences from torchvision's: no padding in average pools' means, a max pool in the last block, 1008 classes, and
/// TensorFlow 1's resize.
public struct InceptionV3: Sendable {
    /// Side of its input in pixels.
    public static let imageSize = 299

    let stem1, stem2, stem3, stem4, stem5: BasicConv2d
    let mixed5: [InceptionA]
    let mixed6a: InceptionB
    let mixed6: [InceptionC]
    let mixed7a: InceptionD
    let mixed7: [InceptionE]
    let weight, bias: Tensor

    /// Whether these are the network's weights, by their names.
    public static func isRecognised(_ source: any TensorSource) -> Bool {
        source.shape(of: "Conv2d_1a_3x3.conv.weight") != nil && source.shape(of: "fc.weight")?.first == 1008
    }

    /// Takes all of its tensors; batch normalisation is folded into the convolutions.
    public init(_ w: Weights) throws {
        stem1 = try BasicConv2d(w / "Conv2d_1a_3x3", stride: 2)
        stem2 = try BasicConv2d(w / "Conv2d_2a_3x3")
        stem3 = try BasicConv2d(w / "Conv2d_2b_3x3", padding: 1)
        stem4 = try BasicConv2d(w / "Conv2d_3b_1x1")
        stem5 = try BasicConv2d(w / "Conv2d_4a_3x3")
        mixed5 = try ["b", "c", "d"].map { try InceptionA(w / "Mixed_5\($0)") }
        mixed6a = try InceptionB(w / "Mixed_6a")
        mixed6 = try ["b", "c", "d", "e"].map { try InceptionC(w / "Mixed_6\($0)") }
        mixed7a = try InceptionD(w / "Mixed_7a")
        mixed7 = [
            try InceptionE(w / "Mixed_7b", pooling: .average), try InceptionE(w / "Mixed_7c", pooling: .maximum),
        ]
        weight = try (w / "fc").tensor("weight", 1008, 2048)
        bias = try (w / "fc").tensor("bias", 1008)
    }

    /// Everything that metrics are computed from.
    public struct Output: Sendable {
        /// Means over pixels after the first and second max pool and the sixth group: [N, 64], [N, 192], [N, 768].
        public let early: [Tensor]
        /// [N, 2048], for FID and KID.
        public let features: Tensor
        /// Logits without the bias [N, 1008], for the Inception score.
        public let logitsUnbiased: Tensor
        /// [N, 1008]
        public let logits: Tensor
    }

    /// How a picture comes to the network's 299×299 pixels. FID's numbers depend on it (Parmar et al. 2022): a table says
    /// which it was.
    public enum Resize: String, Sendable, CaseIterable {
        /// TensorFlow 1's bilinear resize, as FID was defined and as torch-fidelity and pytorch-fid have it.
        case tensorFlow1 = "tf1"
        /// clean-fid's: Pillow's bicubic filter on floats, which averages where a picture shrinks.
        case clean
    }

    /// - Parameter images: of any sizes
    public func callAsFunction(_ images: [RGBImage], resize: Resize = .tensorFlow1) -> Output {
        let pixels = images.map { image in
            switch resize {
            case .tensorFlow1: Self.resized(image)
            case .clean:
                Tensor(
                    image.resizedLevels(width: Self.imageSize, height: Self.imageSize, filter: .bicubic),
                    shape: [1, Self.imageSize, Self.imageSize, 3])
            }
        }
        return self(.stacked(pixels).scaled(by: 1 / 128, plus: -1))
    }

    /// - Parameter pixels: [N, 299, 299, 3], (x − 128) / 128
    func callAsFunction(_ pixels: Tensor) -> Output {
        var x = stem3(stem2(stem1(pixels))).pooled(.maximum, window: 3, stride: 2)
        var early = [Self.mean(x)]
        x = stem5(stem4(x)).pooled(.maximum, window: 3, stride: 2)
        early.append(Self.mean(x))
        for block in mixed5 { x = block(x) }
        x = mixed6a(x)
        for block in mixed6 { x = block(x) }
        early.append(Self.mean(x))
        x = mixed7a(x)
        for block in mixed7 { x = block(x) }
        let features = Self.mean(x)
        return Output(
            early: early, features: features, logitsUnbiased: features.linear(weight),
            logits: features.linear(weight, bias: bias))
    }

    private static func mean(_ x: Tensor) -> Tensor { x.reshaped([x.shape[0], -1, x.shape[3]]).meanOverTokens() }

    /// Bilinear as TensorFlow 1's `resize_bilinear` without aligned corners: the source coordinate is the destination's
    /// times in/out, with no half-pixel shift; nothing is averaged when a picture shrinks. → [1, 299, 299, 3], 0 … 255.
    public static func resized(_ image: RGBImage) -> Tensor {
        let size = imageSize
        func places(_ extent: Int) -> [(low: Int, high: Int, share: Float)] {
            (0..<size).map { i in
                let place = Float(i) * (Float(extent) / Float(size))
                let low = min(Int(place), extent - 1)
                return (low, min(low + 1, extent - 1), place - Float(low))
            }
        }
        let (rows, columns) = (places(image.height), places(image.width))
        var pixels: [Float] = []
        pixels.reserveCapacity(size * size * 3)
        for y in rows {
            for x in columns {
                for channel in 0..<3 {
                    func at(_ row: Int, _ column: Int) -> Float {
                        Float(image.pixels[(row * image.width + column) * 3 + channel])
                    }
                    let top = at(y.low, x.low) + (at(y.low, x.high) - at(y.low, x.low)) * x.share
                    let bottom = at(y.high, x.low) + (at(y.high, x.high) - at(y.high, x.low)) * x.share
                    pixels.append(top + (bottom - top) * y.share)
                }
            }
        }
        return Tensor(pixels, shape: [1, size, size, 3])
    }
}
