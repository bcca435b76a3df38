public import Checkpoint
internal import NeuralNetwork
public import TensorEngine

/// Self-attention over the photos of one person, the paper's own method. Matches `torch.nn.MultiheadAttention` with a
/// residual and a LayerNorm; keys `attn.*`, `norm.*`.
///
///     y = LayerNorm(x + MHA(x, x, x)),  x [N, photos, D]
///
/// There is no positional encoding: the photos are a set.
public struct PhotoSelfAttention: Sendable {
    let attn: MultiheadAttention
    let norm: LayerNorm
    /// Width of the embeddings it was made for.
    let width: Int

    /// The number of photos that the method is trained with and given.
    public static let photos = 9

    /// Takes `attn` and `norm`; D is read from them.
    public init(_ w: Weights, heads: Int) throws {
        try self.init(w, width: try (w / "norm").shape("weight", axes: 1)[0], heads: heads)
    }

    /// Of a given width.
    public init(_ w: Weights, width: Int, heads: Int) throws {
        attn = try MultiheadAttention(w / "attn", width, heads: heads)
        norm = try LayerNorm(w / "norm", width)
        self.width = width
    }

    /// [N, photos, D] → [N, photos, D]
    public func callAsFunction(_ x: Tensor) -> Tensor { norm(beforeNorm(x)) }

    /// x + MHA(x, x, x), for golden tests.
    public func beforeNorm(_ x: Tensor) -> Tensor { x + attn(x) }

    /// Softmax weights [N, heads, photos, photos], for golden tests and for showing which photo counts.
    public func attentionWeights(_ x: Tensor) -> Tensor { attn.weights(x) }
}

/// How several photos' embeddings become what the image projection reads.
///
/// Raw values are the names of the methods that aggregate so, in requests and tables.
public enum Aggregation: String, Sendable, CaseIterable {
    /// The first photo alone.
    case single = "ip-adapter"
    /// Element-wise maximum.
    case max = "ip-adapter-max"
    /// Mean.
    case avg = "ip-adapter-avg"
    /// Self-attention; every photo keeps an embedding of its own.
    case selfAttention = "ip-adapter-self-attention"
    /// Self-attention, then maximum.
    case selfAttentionMax = "ip-adapter-self-attention-max"
    /// Self-attention, then mean.
    case selfAttentionAvg = "ip-adapter-self-attention-avg"

    /// Whether the trained self-attention is part of it.
    public var needsSelfAttention: Bool {
        switch self {
        case .single, .max, .avg: false
        case .selfAttention, .selfAttentionMax, .selfAttentionAvg: true
        }
    }

    /// [N, photos, D] → [N, images, D]: one image for each photo with plain self-attention, else one.
    ///
    /// - Parameter weights: a factor w on each photo, for `max` (of w · x) and `avg` (Σ w · x / Σ w) only
    public func callAsFunction(
        _ x: Tensor, _ selfAttention: PhotoSelfAttention?, weights: [Float]? = nil
    ) throws -> Tensor {
        let (n, d) = (x.shape[0], x.shape[2])
        let x = try weights.map { try weighted(x, $0) } ?? x
        func attended() throws -> Tensor {
            guard let selfAttention else {
                throw CheckpointError(
                    "this model folder has no self-attention weights (ip_adapter/self_attention.safetensors); "
                        + "train them, or choose ip-adapter, ip-adapter-max or ip-adapter-avg")
            }
            guard selfAttention.width == d else {
                throw CheckpointError(
                    "self-attention reads embeddings of \(selfAttention.width), this adapter's are \(d) numbers: it goes "
                        + "with another adapter; choose ip-adapter, ip-adapter-max or ip-adapter-avg")
            }
            return selfAttention(x)
        }
        return switch self {
        case .single: Tensor.stacked((0..<n).map { x[$0][0..<1] }).reshaped([n, 1, d])
        case .max: x.maximumOverTokens().reshaped([n, 1, d])
        case .avg: x.meanOverTokens().reshaped([n, 1, d])
        case .selfAttention: try attended()
        case .selfAttentionMax: try attended().maximumOverTokens().reshaped([n, 1, d])
        case .selfAttentionAvg: try attended().meanOverTokens().reshaped([n, 1, d])
        }
    }
}

extension Aggregation {
    /// Each photo times its factor; for `avg` the factors are first scaled to the mean 1.
    private func weighted(_ x: Tensor, _ weights: [Float]) throws -> Tensor {
        let (n, photos, d) = (x.shape[0], x.shape[1], x.shape[2])
        let sum = weights.reduce(0, +)
        guard self == .max || self == .avg else {
            throw CheckpointError("photo weights mean nothing for \(rawValue); use ip-adapter-max or ip-adapter-avg")
        }
        guard weights.count == photos, sum > 0 else {
            throw CheckpointError("\(weights.count) photo weights (sum \(sum)) for \(photos) photos")
        }
        let factors = weights.map { self == .avg ? $0 * Float(photos) / sum : $0 }
        return x * Tensor((0..<n * photos * d).map { factors[$0 / d % photos] }, shape: x.shape)
    }
}

/// Which photos a method that wants exactly `count` gets.
public enum PhotoChoice {
    /// Indices into `available` photos, in ascending order.
    ///
    /// - More than `count`: `count` different ones are drawn, the rest dropped.
    /// - Fewer: all are kept and the missing ones drawn from them with replacement (bootstrap).
    ///
    /// Draws come from Philox under `seed`, stream 2³² (pictures use the streams below), so the same job always looks at
    /// the same photos.
    public static func indices(available: Int, count: Int = PhotoSelfAttention.photos, seed: UInt64) -> [Int] {
        let random = Philox(seed: seed, stream: 1 << 32)
        var pool = Array(0..<available)
        if available >= count {
            // Fisher–Yates, stopped after `count` places.
            for i in 0..<count { pool.swapAt(i, i + random.integer(i, below: available - i)) }
            return pool.prefix(count).sorted()
        }
        guard available > 0 else { return [] }
        return (pool + (0..<count - available).map { random.integer($0, below: available) }).sorted()
    }
}
