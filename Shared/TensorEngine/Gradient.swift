import Synchronization

// Reverse-mode differentiation. An operation whose inputs need gradients leaves a node behind its result: how to turn
// the result's gradient into its inputs'. Models know nothing of it: made from parameters that need gradients, they
// are differentiable; made from a checkpoint, they record nothing.

/// One recorded operation (or, without a backward pass, a parameter).
final class GradientNode: Sendable {
    typealias Backward = @Sendable (Tensor, inout Gradients) -> Void

    /// Grows with every node, so an operation's is larger than its inputs'.
    let id: Int
    let isLeaf: Bool
    private let backward: Mutex<Backward?>
    private static let count = Atomic(0)

    init(_ backward: Backward?) {
        id = Self.count.add(1, ordering: .relaxed).newValue
        isLeaf = backward == nil
        self.backward = Mutex(backward)
    }

    static var newest: Int { count.load(ordering: .relaxed) }

    /// The backward pass, once: taking it lets go of the values it holds, so memory shrinks as the pass goes back.
    func take() -> Backward {
        backward.withLock { held in
            guard let backward = held else { preconditionFailure("a graph can be differentiated only once") }
            held = nil
            return backward
        }
    }
}

/// Gradients of a scalar by the tensors that need them.
public struct Gradients: Sendable {
    private var sums: [Int: Tensor] = [:]
    /// Nodes with a gradient that has not been passed on: a heap, the newest on top.
    private var pending: [GradientNode] = []
    /// Nodes as old as this belong to a graph outside and are left as they are.
    private let floor: Int

    fileprivate init(floor: Int = 0) { self.floor = floor }

    /// The gradient by a parameter; nil if the scalar does not depend on it.
    public subscript(tensor: Tensor) -> Tensor? { tensor.node.flatMap { sums[$0.id] } }

    /// Adds to the gradient by `tensor`; not even computed if nobody needs it.
    mutating func add(_ gradient: @autoclosure () -> Tensor, to tensor: Tensor?) {
        guard let tensor, let node = tensor.node else { return }
        let gradient = gradient()
        precondition(gradient.count == tensor.count, "gradient \(gradient.shape) by a tensor \(tensor.shape)")
        accumulate(gradient.reshaped(tensor.shape), at: node)
    }

    fileprivate mutating func accumulate(_ gradient: Tensor, at node: GradientNode) {
        if let sum = sums[node.id] {
            sums[node.id] = sum + gradient
        } else {
            sums[node.id] = gradient
            push(node)
        }
    }

    /// Passes gradients back, newest node first: by then all that used its result have added their share.
    private mutating func run() -> [GradientNode] {
        var outside: [GradientNode] = []
        while let node = pop() {
            guard !node.isLeaf, node.id > floor else {
                outside.append(node)
                continue
            }
            guard let gradient = sums.removeValue(forKey: node.id) else { continue }
            node.take()(gradient, &self)
        }
        return outside
    }

    private mutating func push(_ node: GradientNode) {
        var i = pending.count
        pending.append(node)
        while i > 0, pending[(i - 1) / 2].id < pending[i].id {
            pending.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    private mutating func pop() -> GradientNode? {
        guard let top = pending.first else { return nil }
        let last = pending.removeLast()
        if pending.isEmpty { return top }
        pending[0] = last
        var i = 0
        while true {
            var largest = i
            for child in [2 * i + 1, 2 * i + 2] where child < pending.count && pending[child].id > pending[largest].id {
                largest = child
            }
            if largest == i { return top }
            pending.swapAt(i, largest)
            i = largest
        }
    }
}

/// Whether operations record themselves.
enum Recording {
    @TaskLocal static var isPaused = false
}

extension Tensor {
    /// The same numbers as a parameter: operations on it are recorded.
    public func requiringGradient() -> Tensor { with(GradientNode(nil)) }

    /// The same numbers as a constant.
    public func detached() -> Tensor { with(nil) }

    /// Whether a gradient by this tensor can be had.
    public var requiresGradient: Bool { node != nil }

    /// Gradients of this scalar by all parameters that it was computed from. Each graph can be differentiated once.
    public func gradients() -> Gradients {
        precondition(count == 1 && node != nil, "only a recorded scalar has gradients, not \(shape)")
        var gradients = Gradients()
        gradients.add(Tensor(repeating: 1, shape: shape), to: self)
        _ = gradients.backward()
        return gradients
    }

    /// This tensor as the result of an operation on `inputs`, recorded if any of them needs a gradient.
    func recorded(_ inputs: Tensor?..., backward: @escaping GradientNode.Backward) -> Tensor {
        Tensor.isRecording(inputs) ? with(GradientNode(backward)) : self
    }

    func recorded(of inputs: [Tensor], backward: @escaping GradientNode.Backward) -> Tensor {
        Tensor.isRecording(inputs) ? with(GradientNode(backward)) : self
    }

    static func isRecording(_ inputs: [Tensor?]) -> Bool {
        inputs.contains { $0?.node != nil } && !Recording.isPaused
    }

    /// `body` of `inputs` without keeping what it computes on the way: the backward pass computes it again
    /// (gradient checkpointing, Chen et al. 2016; `torch.utils.checkpoint`).
    ///
    /// `body` may use other tensors too; gradients by them are found all the same.
    public static func checkpointed(
        _ inputs: [Tensor], _ body: @escaping @Sendable ([Tensor]) -> Tensor
    ) -> Tensor {
        let result = Recording.$isPaused.withValue(true) { body(inputs) }
        guard !Recording.isPaused else { return result }
        return result.with(
            GradientNode { gradient, outer in
                let floor = GradientNode.newest
                let again = body(inputs)
                var inner = Gradients(floor: floor)
                inner.add(gradient, to: again)
                for (node, sum) in inner.backward() { outer.accumulate(sum, at: node) }
            })
    }
}

extension Gradients {
    /// Runs the pass; what is left are parameters and nodes of a graph outside.
    fileprivate mutating func backward() -> [(GradientNode, Tensor)] {
        run().compactMap { node in sums[node.id].map { (node, $0) } }
    }
}
