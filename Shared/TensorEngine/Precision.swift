internal import CKernels
internal import Synchronization

/// What numbers are rounded to before they are multiplied, in linear layers, attention and 3×3 convolutions. Sums, and
/// what passes from layer to layer, are always 32 bits, but for what only products read (``Reader``).
public enum Precision: String, Sendable, CaseIterable {
    /// Not at all: the reference. (AMX multiplies floats as sums of bfloat16 parts, no less exactly.)
    case f32
    /// bfloat16, where the CPU multiplies them faster (AMX, AVX-512 BF16); elsewhere as `f32`. Not for training.
    case bf16

    private static let rounds = Atomic(false)
    @TaskLocal private static var here: Precision?

    /// Of every operation of this process that is started from now on.
    public static func use(_ precision: Precision) { rounds.store(precision == .bf16, ordering: .relaxed) }

    /// Of the operations of `body` only, whatever the process's is.
    public static func with<Result>(_ precision: Precision, _ body: () throws -> Result) rethrows -> Result {
        try $here.withValue(precision, operation: body)
    }

    /// Whether `bf16` differs from `f32` on this machine.
    public static var hasBF16: Bool { lk_multiplies_bf16() }

    /// The one in force: `f32` where the machine has no other.
    public static var current: Precision {
        let asked = here ?? (rounds.load(ordering: .relaxed) ? .bf16 : .f32)
        return hasBF16 ? asked : .f32
    }

    static var roundsProducts: Bool { current == .bf16 }
}

/// What reads the numbers that an operation makes. Those that only products read, which would round them first, are
/// rounded as they are written and take half of the memory.
public enum Reader: Sendable {
    /// Anything: 32 bits.
    case any
    /// Linear layers and attention, nothing else.
    case product
    /// 3×3 convolutions, perhaps after GroupNorm, nothing else.
    case convolution

    /// Whether it rounds numbers to bfloat16 first, and so takes them rounded. Winograd's convolutions round later.
    package var takesRounded: Bool {
        switch self {
        case .any: false
        case .product: Precision.roundsProducts
        case .convolution: Precision.roundsProducts && lk_has_tiles()
        }
    }
}
