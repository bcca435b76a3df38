import Crypto
import Foundation
import Synchronization
public import TensorEngine

/// Seeded random weights for any model: what a model asks for is made on the spot and remembered by name and shape.
///
/// Matrices and kernels: N(0, gain² / fan-in). Norm weights: 1. Biases: 0. Embeddings: N(0, 0.02²). Each tensor's
/// numbers depend only on the seed and its name.
public final class RandomWeights: TensorSource {
    private let seed: UInt64
    private let format: HalfFormat?
    private let made = Mutex<[String: [Int]]>([:])

    /// Weights that depend on `seed` and the tensors' names.
    ///
    /// - Parameter format: keep matrices and kernels, rounded, in 16 bits a number
    public init(seed: UInt64, format: HalfFormat? = nil) { (self.seed, self.format) = (seed, format) }

    /// "random weights (seed …)"
    public var description: String { "random weights (seed \(seed))" }

    /// Names asked for so far.
    public var names: [String] { made.withLock { Array($0.keys) } }

    /// The shapes asked for so far, by name.
    public var shapes: [String: [Int]] { made.withLock { $0 } }

    /// The shape that was asked for; a model that probes for optional tensors finds none.
    public func shape(of name: String) -> [Int]? { made.withLock { $0[name] } }

    /// A tensor that was asked for with its shape before.
    public func tensor(_ name: String) throws -> Tensor {
        guard let shape = shape(of: name) else { throw CheckpointError("\(self): \(name) has no shape yet") }
        return make(name, shape)
    }

    /// Makes the tensor.
    public func tensor(_ name: String, shape: [Int]) throws -> Tensor {
        made.withLock { $0[name] = shape }
        return make(name, shape)
    }

    private func make(_ name: String, _ shape: [Int]) -> Tensor {
        let isNorm = name.contains("norm") || name.contains("layrnorm")
        if shape.count <= 1 && name.hasSuffix("weight") { return Tensor(repeating: 1, shape: shape) }
        if name.hasSuffix("bias") || isNorm && shape.count <= 1 { return .zeros(shape) }
        let fanIn = shape.dropFirst().reduce(1, *)
        let deviation = name.contains("embedding") ? 0.02 : 1 / Double(max(fanIn, 1)).squareRoot()
        let stream = SHA256.hash(data: Data(name.utf8)).prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let floats = Tensor(shape: shape, longLived: true) {
            Philox(seed: seed, stream: stream).fillNormal($0, deviation: deviation)
        }
        guard let format else { return floats }
        return Tensor(format, shape: shape) { out in
            floats.withUnsafeBuffer {
                for (i, x) in $0.enumerated() { out[i] = HalfPrecision.bits(x, format) }
            }
        }
    }
}
