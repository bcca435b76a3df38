public import Checkpoint
internal import NeuralNetwork
public import TensorEngine

/// config.json of an ``EvaluationNetwork``.
public struct EvaluationNetworkConfig: Codable, Sendable {
    /// Side of the input picture in pixels.
    public var imageSize: Int
    /// Channels after the stem and after each halving of the picture.
    public var channels: [Int]
    /// Width of the feature vector.
    public var features: Int
    /// Number of classes of the logits.
    public var classes: Int

    enum CodingKeys: String, CodingKey {
        case imageSize = "image_size"
        case channels, features, classes
    }

    /// Reads sizes, and refuses those that no network has.
    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            imageSize: try c.decode(Int.self, forKey: .imageSize),
            channels: try c.decode([Int].self, forKey: .channels),
            features: try c.decode(Int.self, forKey: .features), classes: try c.decode(Int.self, forKey: .classes))
        try requireSizes(
            in: "evaluation/…/config.json", ["channels": channels, "features": [features], "classes": [classes]])
        try requireSizes(in: "evaluation/…/config.json", ["image_size": [imageSize]], upTo: 4096)
    }

    /// Of given sizes.
    public init(imageSize: Int, channels: [Int], features: Int, classes: Int) {
        (self.imageSize, self.channels, self.features, self.classes) = (imageSize, channels, features, classes)
    }

    /// The offline default's size, for 64×64 pictures.
    public static let miniature = EvaluationNetworkConfig(
        imageSize: 64, channels: [16, 48, 96, 128], features: 64, classes: 32)
}

/// A small convolutional network that scores pictures: the miniature's stand-in for Inception v3 (features and class
/// logits, for FID and IS) and for FaceNet (features as an identity embedding).
///
///     stem 3×3 → [3×3 stride 2, GroupNorm, SiLU] … → mean over pixels → features → logits
///
/// Keys: `stem`, `stages.{i}.conv`, `stages.{i}.norm`, `features`, `logits`.
public struct EvaluationNetwork: Sendable {
    /// The sizes it was made with.
    public let config: EvaluationNetworkConfig
    let stem: Conv2d
    let stages: [(conv: Conv2d, norm: GroupNorm)]
    let features, logits: Linear

    /// Takes all of its tensors.
    public init(_ w: Weights, _ config: EvaluationNetworkConfig) throws {
        self.config = config
        let channels = config.channels
        stem = try Conv2d(w / "stem", 3, channels[0], kernel: 3, padding: .init(1))
        stages = try (1..<channels.count).map { i in
            let w = w / "stages" / (i - 1)
            return (
                try Conv2d(w / "conv", channels[i - 1], channels[i], kernel: 3, stride: 2, padding: .init(1)),
                try GroupNorm(w / "norm", groups: 8, channels: channels[i], eps: 1e-5)
            )
        }
        features = try Linear(w / "features", channels[channels.count - 1], config.features)
        logits = try Linear(w / "logits", config.features, config.classes)
    }

    /// - Parameter pixels: [N, imageSize, imageSize, 3] in -1 ... 1
    /// - Returns: features [N, features] and logits [N, classes]
    public func callAsFunction(_ pixels: Tensor) -> (features: Tensor, logits: Tensor) {
        var x = stem(pixels).activated(.silu)
        for stage in stages { x = stage.norm(stage.conv(x), silu: true) }
        let pooled = x.reshaped([x.shape[0], -1, x.shape[3]]).meanOverTokens()
        let f = features(pooled)
        return (f, logits(f.activated(.relu)))
    }
}
