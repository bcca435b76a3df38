import Synchronization
public import TensorEngine

/// Where weights come from: a checkpoint's file, several of them, or a generator of random ones.
public protocol TensorSource: Sendable, CustomStringConvertible {
    /// Names of all tensors.
    var names: [String] { get }
    /// The shape of `name`, or nil if there is none.
    func shape(of name: String) -> [Int]?
    /// The floats of `name`.
    func tensor(_ name: String) throws -> Tensor
    /// The floats of `name`, which the model expects to have `shape`.
    func tensor(_ name: String, shape: [Int]) throws -> Tensor
}

extension TensorSource {
    /// Checks the shape and answers ``tensor(_:)``.
    public func tensor(_ name: String, shape: [Int]) throws -> Tensor {
        guard let found = self.shape(of: name) else {
            throw CheckpointError("\(self): \(name) is missing; the file is of another model or incomplete")
        }
        guard found == shape || found.isSameButForOnes(as: shape) else {
            throw CheckpointError("\(self): \(name) has shape \(found), the model's config needs \(shape)")
        }
        return try tensor(name).reshaped(shape)
    }
}

extension [Int] {
    /// Whether shapes differ in axes of 1 only: a 1×1 convolution and a linear layer are the same numbers, and checkpoints
    /// use both.
    public func isSameButForOnes(as other: [Int]) -> Bool { filter { $0 != 1 } == other.filter { $0 != 1 } }
}

/// A place in a checkpoint: a source and a path of key segments, as `w / "down_blocks" / 0 / "resnets"`.
///
/// Layers take their weights by the checkpoint's own segments, so there is no map of names, and a missing or
/// mis-shaped tensor is reported by its full key.
public struct Weights: Sendable {
    private let source: any TensorSource
    /// The key so far, without a final dot.
    public let path: String
    private let taken: Taken

    private final class Taken: Sendable {
        let names = Mutex<Set<String>>([])
    }

    /// The root of `source`, or its part under `prefix`.
    public init(_ source: any TensorSource, prefix: String = "") {
        self.init(source: source, path: prefix, taken: Taken())
    }

    private init(source: any TensorSource, path: String, taken: Taken) {
        (self.source, self.path, self.taken) = (source, path, taken)
    }

    /// The part under segment `name`.
    public static func / (weights: Weights, name: String) -> Weights {
        Weights(source: weights.source, path: weights.key(name), taken: weights.taken)
    }

    /// The part under a numbered segment.
    public static func / (weights: Weights, index: Int) -> Weights { weights / String(index) }

    /// The tensor `name` here, of exactly this shape (axes of one aside).
    ///
    /// Weights that are not numbers are refused here, where a model takes them: a mapped tensor's pages are read once for
    /// it, which the first pass would do anyway, and a model never makes grey pictures of one bad weight.
    public func tensor(_ name: String, _ shape: Int...) throws -> Tensor { try tensor(name, of: shape) }

    /// As ``tensor(_:_:)``.
    public func tensor(_ name: String, of shape: [Int]) throws -> Tensor {
        let key = key(name)
        let tensor = try source.tensor(key, shape: shape)
        guard tensor.isFinite else {
            throw CheckpointError(
                "\(source): \(key) holds weights that are not finite numbers (NaN or infinity); the file is damaged, or "
                    + "its training or conversion to half precision failed: download it again")
        }
        taken.names.withLock { _ = $0.insert(key) }
        return tensor
    }

    /// Whether there is a tensor `name` here.
    public func has(_ name: String) -> Bool { source.shape(of: key(name)) != nil }

    /// The shape of the tensor `name` here.
    public func shape(_ name: String) throws -> [Int] {
        guard let shape = source.shape(of: key(name)) else {
            throw CheckpointError("\(source): \(key(name)) is missing; the file is of another model or incomplete")
        }
        return shape
    }

    /// The shape of the tensor `name` here, which has to have so many axes and none of 0: for sizes that a model takes from
    /// its file.
    public func shape(_ name: String, axes: Int) throws -> [Int] {
        let shape = try shape(name)
        guard shape.count == axes, shape.allSatisfy({ $0 > 0 }) else {
            throw CheckpointError("\(source): \(key(name)) has shape \(shape), not \(axes) axes of numbers")
        }
        return shape
    }

    /// The first of several spellings that is there; the last if none is (for its error message).
    public func any(of names: String..., holding tensor: String = "weight") -> Weights {
        for name in names where (self / name).has(tensor) { return self / name }
        return self / (names.last ?? "")
    }

    /// Fails if the checkpoint has tensors under this path that no layer has taken: the config does not fit the file.
    ///
    /// - Parameter ignoring: key endings that carry no weights (`position_ids`).
    public func requireAllTaken(ignoring: [String] = ["position_ids"]) throws {
        let taken = taken.names.withLock { $0 }
        let prefix = path.isEmpty ? "" : path + "."
        let left = source.names.filter { name in
            name.hasPrefix(prefix) && !taken.contains(name) && !ignoring.contains { name.hasSuffix($0) }
        }
        guard let first = left.min() else { return }
        throw CheckpointError(
            "\(source): \(left.count) tensors have no place in this model, the first is \(first); "
                + "does config.json belong to this file?")
    }

    private func key(_ name: String) -> String { path.isEmpty ? name : path + "." + name }
}
