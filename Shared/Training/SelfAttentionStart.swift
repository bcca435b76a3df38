internal import Checkpoint
internal import TensorEngine

/// Where the training of self-attention over photos begins: close to average pooling, in the scale of the embeddings that
/// the pretrained IP-Adapter reads.
///
///     y = LayerNorm(x + g · Attn(x)),  attention weights nearly even, W_v = I, W_out = g · I
///
/// so that y is about LayerNorm(x + g · mean x), with the averages' own scale and shift. From a random start the adapter is
/// first shown embeddings unlike any it was trained on, and unlearns what it knows.
struct SelfAttentionStart: TensorSource {
    private let random: RandomWeights
    private let width: Int
    /// Mean and deviation of an average's features, and the root of their mean square, over all averages.
    private let mean, deviation, size: Float
    /// How much the mean of all photos weighs beside the photo itself.
    private static let gain: Float = 4

    /// - Parameter averages: mean embeddings of the people to train on, [people, D]
    init(averages: Tensor, random: RandomWeights) {
        self.random = random
        width = averages.shape[1]
        let (rows, numbers) = (averages.shape[0], averages.scalars)
        let d = width
        var sums = (mean: Float(0), deviation: Float(0), square: Float(0))
        for row in 0..<rows {
            let own = numbers[row * d..<(row + 1) * d]
            let mean = own.reduce(0, +) / Float(d)
            let square = own.reduce(0) { $0 + $1 * $1 } / Float(d)
            sums.mean += mean / Float(rows)
            sums.deviation += (square - mean * mean).squareRoot() / Float(rows)
            sums.square += square / Float(rows)
        }
        (mean, deviation, size) = (sums.mean, sums.deviation, sums.square.squareRoot())
    }

    var description: String { "the start of self-attention" }
    var names: [String] { random.names }
    func shape(of name: String) -> [Int]? { random.shape(of: name) }
    func tensor(_ name: String) throws -> Tensor { try random.tensor(name) }

    func tensor(_ name: String, shape: [Int]) throws -> Tensor {
        let fresh = try random.tensor(name, shape: shape)
        switch name {
        case "attn.in_proj_weight":
            let queriesAndKeys = fresh[0..<2 * width].scaled(by: 0.5 / max(size, 1e-6))
            return .stacked([queriesAndKeys, diagonal(1)])
        case "attn.out_proj.weight": return diagonal(Self.gain)
        case "norm.weight": return Tensor(repeating: deviation, shape: shape)
        case "norm.bias": return Tensor(repeating: mean, shape: shape)
        default: return fresh
        }
    }

    private func diagonal(_ value: Float) -> Tensor {
        Tensor((0..<width * width).map { $0 / width == $0 % width ? value : 0 }, shape: [width, width])
    }
}
