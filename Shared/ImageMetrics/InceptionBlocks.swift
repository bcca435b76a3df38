internal import Checkpoint
internal import NeuralNetwork
internal import TensorEngine

// The blocks of Inception v3 with torch-fidelity's names. Sizes are the checkpoint's own.

/// Convolution, batch normalisation with running statistics, ReLU. Keys `conv.weight`, `bn.*`.
struct BasicConv2d: Sendable {
    private let layer: NormalizedConvolution

    /// - Parameter padding: rows and columns around the picture; a number stands for both
    init(_ w: Weights, stride: Int = 1, padding: Int = 0, tall: Int? = nil, wide: Int? = nil) throws {
        let (tall, wide) = (tall ?? padding, wide ?? padding)
        layer = try NormalizedConvolution(w / "conv", norm: w / "bn", stride: stride, eps: 1e-3) { _, _ in
            .init(top: tall, left: wide, bottom: tall, right: wide)
        }
    }

    func callAsFunction(_ x: Tensor) -> Tensor { layer(x).activated(.relu) }
}

extension Tensor {
    /// Channels of several maps, one after the other.
    fileprivate static func joined(_ maps: Tensor...) -> Tensor {
        maps.dropFirst().reduce(maps[0]) { .concatenated($0, $1) }
    }

    /// The 3×3 neighbourhood of every pixel.
    fileprivate func neighbourhood(_ kind: Pooling) -> Tensor { pooled(kind, window: 3, stride: 1, padding: 1) }
}

/// `InceptionA`: 35×35.
struct InceptionA: Sendable {
    let branch1x1, branch5x51, branch5x52, branch3x3dbl1, branch3x3dbl2, branch3x3dbl3, branchPool: BasicConv2d

    init(_ w: Weights) throws {
        branch1x1 = try BasicConv2d(w / "branch1x1")
        branch5x51 = try BasicConv2d(w / "branch5x5_1")
        branch5x52 = try BasicConv2d(w / "branch5x5_2", padding: 2)
        branch3x3dbl1 = try BasicConv2d(w / "branch3x3dbl_1")
        branch3x3dbl2 = try BasicConv2d(w / "branch3x3dbl_2", padding: 1)
        branch3x3dbl3 = try BasicConv2d(w / "branch3x3dbl_3", padding: 1)
        branchPool = try BasicConv2d(w / "branch_pool")
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        .joined(
            branch1x1(x), branch5x52(branch5x51(x)), branch3x3dbl3(branch3x3dbl2(branch3x3dbl1(x))),
            branchPool(x.neighbourhood(.average)))
    }
}

/// `InceptionB`: 35×35 → 17×17.
struct InceptionB: Sendable {
    let branch3x3, branch3x3dbl1, branch3x3dbl2, branch3x3dbl3: BasicConv2d

    init(_ w: Weights) throws {
        branch3x3 = try BasicConv2d(w / "branch3x3", stride: 2)
        branch3x3dbl1 = try BasicConv2d(w / "branch3x3dbl_1")
        branch3x3dbl2 = try BasicConv2d(w / "branch3x3dbl_2", padding: 1)
        branch3x3dbl3 = try BasicConv2d(w / "branch3x3dbl_3", stride: 2)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        .joined(
            branch3x3(x), branch3x3dbl3(branch3x3dbl2(branch3x3dbl1(x))), x.pooled(.maximum, window: 3, stride: 2))
    }
}

/// `InceptionC`: 17×17, its 7×7 convolutions taken apart into 1×7 and 7×1.
struct InceptionC: Sendable {
    let branch1x1: BasicConv2d
    let branch7x7, branch7x7dbl: [BasicConv2d]
    let branchPool: BasicConv2d

    init(_ w: Weights) throws {
        branch1x1 = try BasicConv2d(w / "branch1x1")
        branch7x7 = [
            try BasicConv2d(w / "branch7x7_1"), try BasicConv2d(w / "branch7x7_2", wide: 3),
            try BasicConv2d(w / "branch7x7_3", tall: 3),
        ]
        branch7x7dbl = [
            try BasicConv2d(w / "branch7x7dbl_1"), try BasicConv2d(w / "branch7x7dbl_2", tall: 3),
            try BasicConv2d(w / "branch7x7dbl_3", wide: 3), try BasicConv2d(w / "branch7x7dbl_4", tall: 3),
            try BasicConv2d(w / "branch7x7dbl_5", wide: 3),
        ]
        branchPool = try BasicConv2d(w / "branch_pool")
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        .joined(
            branch1x1(x), branch7x7.reduce(x) { $1($0) }, branch7x7dbl.reduce(x) { $1($0) },
            branchPool(x.neighbourhood(.average)))
    }
}

/// `InceptionD`: 17×17 → 8×8.
struct InceptionD: Sendable {
    let branch3x3, branch7x7x3: [BasicConv2d]

    init(_ w: Weights) throws {
        branch3x3 = [try BasicConv2d(w / "branch3x3_1"), try BasicConv2d(w / "branch3x3_2", stride: 2)]
        branch7x7x3 = [
            try BasicConv2d(w / "branch7x7x3_1"), try BasicConv2d(w / "branch7x7x3_2", wide: 3),
            try BasicConv2d(w / "branch7x7x3_3", tall: 3), try BasicConv2d(w / "branch7x7x3_4", stride: 2),
        ]
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        .joined(
            branch3x3.reduce(x) { $1($0) }, branch7x7x3.reduce(x) { $1($0) },
            x.pooled(.maximum, window: 3, stride: 2))
    }
}

/// `InceptionE_1` and `InceptionE_2`: 8×8; they differ in how they pool.
struct InceptionE: Sendable {
    let pooling: Pooling
    let branch1x1, branch3x31, branch3x32a, branch3x32b: BasicConv2d
    let branch3x3dbl1, branch3x3dbl2, branch3x3dbl3a, branch3x3dbl3b, branchPool: BasicConv2d

    init(_ w: Weights, pooling: Pooling) throws {
        self.pooling = pooling
        branch1x1 = try BasicConv2d(w / "branch1x1")
        branch3x31 = try BasicConv2d(w / "branch3x3_1")
        branch3x32a = try BasicConv2d(w / "branch3x3_2a", wide: 1)
        branch3x32b = try BasicConv2d(w / "branch3x3_2b", tall: 1)
        branch3x3dbl1 = try BasicConv2d(w / "branch3x3dbl_1")
        branch3x3dbl2 = try BasicConv2d(w / "branch3x3dbl_2", padding: 1)
        branch3x3dbl3a = try BasicConv2d(w / "branch3x3dbl_3a", wide: 1)
        branch3x3dbl3b = try BasicConv2d(w / "branch3x3dbl_3b", tall: 1)
        branchPool = try BasicConv2d(w / "branch_pool")
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let (single, double) = (branch3x31(x), branch3x3dbl2(branch3x3dbl1(x)))
        return .joined(
            branch1x1(x), branch3x32a(single), branch3x32b(single), branch3x3dbl3a(double), branch3x3dbl3b(double),
            branchPool(x.neighbourhood(pooling)))
    }
}
