internal import CKernels

/// A dense, row-major array of 32-bit floats: a value, whose memory is shared until it is replaced.
///
/// Shape letters, used in every comment of Likeness: N batch, C channels, H height, W width, T tokens, D features.
/// Pictures and feature maps are channels-last, `[N, H, W, C]` (what PyTorch calls `channels_last`): a feature map is
/// then also a sequence of H·W tokens of C features, and oneDNN's convolutions read it without reordering.
public struct Tensor: Sendable {
    /// Extent of each axis; empty for a scalar.
    public let shape: [Int]
    let storage: Storage
    let offset: Int
    /// How its gradient goes back to what it was computed from; nil for constants.
    let node: GradientNode?

    init(shape: [Int], storage: Storage, offset: Int = 0, node: GradientNode? = nil) {
        precondition(offset + shape.product <= storage.count, "shape \(shape) does not fit its storage")
        (self.shape, self.storage, self.offset, self.node) = (shape, storage, offset, node)
    }

    func with(_ node: GradientNode?) -> Tensor { Tensor(shape: shape, storage: storage, offset: offset, node: node) }

    /// Copies `scalars`, which are in row-major order.
    public init(_ scalars: [Float], shape: [Int]) {
        precondition(scalars.count == shape.product, "\(scalars.count) numbers are not a tensor of shape \(shape)")
        self.init(shape: shape) { out in
            _ = out.update(fromContentsOf: scalars)
        }
    }

    /// A tensor of one number everywhere.
    public init(repeating value: Float, shape: [Int]) {
        self.init(shape: shape) { $0.update(repeating: value) }
    }

    /// Zeros.
    public static func zeros(_ shape: [Int]) -> Tensor { Tensor(repeating: 0, shape: shape) }

    /// Makes a tensor by letting `fill` write every number of its fresh, uninitialised memory.
    ///
    /// - Parameter longLived: a weight rather than an activation; see `Storage`
    package init(
        shape: [Int], longLived: Bool = false, fill: (UnsafeMutableBufferPointer<Float>) throws -> Void
    ) rethrows {
        let storage = Storage(count: shape.product, longLived: longLived)
        try fill(UnsafeMutableBufferPointer(start: storage.base, count: storage.count))
        self.init(shape: shape, storage: storage)
    }

    /// A tensor over memory that `owner` keeps (a mapped checkpoint); nothing is copied.
    package init(borrowing base: UnsafePointer<Float>, shape: [Int], owner: AnyObject) {
        self.init(shape: shape, storage: Storage(borrowing: base, count: shape.product, owner: owner))
    }

    /// A tensor over numbers of 16 bits that `owner` keeps; nothing is copied until somebody asks for floats, which linear
    /// layers and most convolutions do not.
    package init(borrowing halves: UnsafePointer<UInt16>, _ format: HalfFormat, shape: [Int], owner: AnyObject) {
        self.init(shape: shape, storage: Storage(borrowing: halves, format, count: shape.product, owner: owner))
    }

    /// As above, over memory of its own that `fill` writes; `longLived` as for one of floats.
    package init(
        _ format: HalfFormat, shape: [Int], longLived: Bool = true,
        fill: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) rethrows {
        let count = shape.product
        let memory = Storage(count: (count + 1) / 2, longLived: longLived)
        let halves = UnsafeMutableRawPointer(memory.base).bindMemory(to: UInt16.self, capacity: count)
        try fill(UnsafeMutableBufferPointer(start: halves, count: count))
        self.init(borrowing: halves, format, shape: shape, owner: memory)
    }

    /// A tensor whose numbers `fill` writes in the format that suits whoever reads them.
    init(shape: [Int], for reader: Reader, fill: (UnsafeMutableRawPointer, lk_format) -> Void) {
        guard reader.takesRounded, shape[shape.count - 1] % 2 == 0 else {
            self.init(shape: shape) { if let floats = $0.baseAddress { fill(floats, LK_F32) } }
            return
        }
        self.init(.bf16, shape: shape, longLived: false) { if let halves = $0.baseAddress { fill(halves, LK_BF16) } }
    }

    /// Number of scalars.
    public var count: Int { shape.product }

    /// All numbers in row-major order.
    public var scalars: [Float] { withUnsafeBuffer { Array($0) } }

    package func withUnsafeBuffer<R>(_ body: (UnsafeBufferPointer<Float>) throws -> R) rethrows -> R {
        try withExtendedLifetime(storage) {
            try body(UnsafeBufferPointer(start: storage.base + offset, count: count))
        }
    }

    /// Where the numbers are; valid while `storage` is.
    var pointer: UnsafeMutablePointer<Float> { storage.base + offset }

    /// The numbers as they are stored, for kernels that widen them; valid while `storage` is.
    var weights: (pointer: UnsafeRawPointer, format: lk_format) {
        guard let halves = storage.halves else { return (UnsafeRawPointer(pointer), LK_F32) }
        return (UnsafeRawPointer(halves.base + offset), halves.format == .f16 ? LK_F16 : LK_BF16)
    }

    /// The numbers as `reader` takes them: as they are stored if that is rounded as it would round them, else as floats.
    func read(by reader: Reader) -> (pointer: UnsafeRawPointer, format: lk_format) {
        let isRounded = storage.halves?.format == .bf16 && shape[shape.count - 1] % 2 == 0
        return isRounded && reader.takesRounded ? weights : (UnsafeRawPointer(pointer), LK_F32)
    }
}

// MARK: - Views: the same memory in another shape

extension Tensor {
    /// The same numbers in another shape; one extent may be -1 and is worked out.
    public func reshaped(_ shape: [Int]) -> Tensor {
        var shape = shape
        if let free = shape.firstIndex(of: -1) {
            shape[free] = 1
            precondition(
                shape.product > 0 && count % shape.product == 0, "\(self.shape) cannot be reshaped to \(shape)")
            shape[free] = count / shape.product
        }
        precondition(shape.product == count, "\(self.shape) cannot be reshaped to \(shape)")
        return Tensor(shape: shape, storage: storage, offset: offset)
            .recorded(self) { [source = self] dy, sums in sums.add(dy, to: source) }
    }

    /// Rows `range` of the first axis.
    public subscript(range: Range<Int>) -> Tensor {
        precondition(0 <= range.lowerBound && range.upperBound <= shape[0], "\(range) is outside axis 0 of \(shape)")
        let row = shape.dropFirst().reduce(1, *)
        return Tensor(
            shape: [range.count] + shape.dropFirst(), storage: storage, offset: offset + range.lowerBound * row
        )
        .recorded(self) { [source = self] dy, sums in
            sums.add(dy.placed(at: range.lowerBound * row, in: source.shape), to: source)
        }
    }

    /// Zeros of `shape` with these numbers from `start` on.
    private func placed(at start: Int, in shape: [Int]) -> Tensor {
        Tensor(shape: shape) { out in
            out.update(repeating: 0)
            withUnsafeBuffer { _ = out[start...].update(fromContentsOf: $0) }
        }
    }

    /// Row `index` of the first axis, without that axis.
    public subscript(index: Int) -> Tensor { self[index..<index + 1].reshaped(Array(shape.dropFirst())) }
}

extension [Int] {
    var product: Int { reduce(1, *) }
}
