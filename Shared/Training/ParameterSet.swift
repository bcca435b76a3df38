public import Checkpoint
import Synchronization
public import TensorEngine

/// A model's tensors while it is trained: those named as trainable are parameters with gradients, the others constants
/// as they are in the file. A model is made from it like from any checkpoint.
public final class ParameterSet: TensorSource {
    private let base: any TensorSource
    private let isTrainable: @Sendable (String) -> Bool
    private let made = Mutex<[String: Tensor]>([:])

    /// - Parameters:
    ///   - base: where the numbers come from: a checkpoint or ``RandomWeights``
    ///   - trainable: which tensors are trained
    public init(_ base: any TensorSource, trainable: @escaping @Sendable (String) -> Bool = { _ in true }) {
        (self.base, isTrainable) = (base, trainable)
    }

    /// The base's.
    public var description: String { base.description }
    /// The base's.
    public var names: [String] { base.names }
    /// The base's.
    public func shape(of name: String) -> [Int]? { base.shape(of: name) }
    /// The parameter, or the base's constant.
    public func tensor(_ name: String) throws -> Tensor { try remembered(name) { try base.tensor(name) } }
    /// The parameter in the shape the model wants, or the base's constant.
    public func tensor(_ name: String, shape: [Int]) throws -> Tensor {
        try remembered(name) { try base.tensor(name, shape: shape) }
    }

    /// Parameters by name; those that a model has asked for so far.
    public var parameters: [String: Tensor] { made.withLock { $0.filter { $0.value.requiresGradient } } }

    /// All tensors as constants in the file's own shapes, for a checkpoint; the trained ones alone if asked.
    public func snapshot(trainedOnly: Bool = false) throws -> [String: Tensor] {
        let made = made.withLock { $0 }
        let names = trainedOnly ? made.filter { $0.value.requiresGradient }.map(\.key) : base.names
        return try Dictionary(
            uniqueKeysWithValues: names.map { name in
                let tensor = try made[name] ?? base.tensor(name)
                return (name, tensor.detached().reshaped(base.shape(of: name) ?? tensor.shape))
            })
    }

    private func remembered(_ name: String, _ load: () throws -> Tensor) throws -> Tensor {
        if let known = made.withLock({ $0[name] }) { return known }
        let loaded = try load()
        return made.withLock { table in
            // Parameters take the shape of their first use: a view would be recorded, once, and then used up.
            let tensor = isTrainable(name) ? Tensor.parameter(loaded) : loaded
            table[name] = tensor
            return tensor
        }
    }
}
