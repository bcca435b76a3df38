internal import CKernels
import Glibc
import Synchronization

/// Memory that tensors share: 64-byte aligned floats of its own, or numbers that something else owns (a mapped file).
///
/// Numbers of 16 bits stay as they are: products read them (`Tensor.weights`). Whoever asks for their floats gets a
/// widened copy, made the first time.
///
/// A storage is written only by the operation that makes it, before anyone else sees it; after that it is read-only,
/// which is what makes the unchecked `Sendable` true.
final class Storage: @unchecked Sendable {
    let count: Int
    /// The numbers, if they are of 16 bits.
    let halves: (base: UnsafePointer<UInt16>, format: HalfFormat)?
    private let floats: UnsafeMutablePointer<Float>?
    private let widened = Mutex<Storage?>(nil)
    private let owner: Owner
    /// Set by the operation that writes the numbers, if it takes them.
    var channelSums: ChannelSums?

    /// The numbers as floats.
    var base: UnsafeMutablePointer<Float> { floats ?? widenedCopy().base }

    private enum Owner {
        case heap
        /// The heap, in a computation that is being written down, as its number so-and-so.
        case recorded(ActivationRun, Int)
        /// A place in an arena.
        case block(ActivationBlock)
        /// Pages of its own, of so many bytes.
        case pages(Int)
        case other(AnyObject)
    }

    /// Uninitialised memory for `count` floats.
    ///
    /// - Parameter longLived: weights rather than activations. Large ones get pages of their own, huge where the system
    ///   has them, which go back to the system when they are freed.
    init(count: Int, longLived: Bool = false) {
        Allocator.prepare
        self.count = count
        let bytes = max(count, 1) * MemoryLayout<Float>.stride
        let memory: UnsafeMutableRawPointer?
        if longLived && bytes >= 1 << 20 {
            owner = .pages(bytes)
            memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            madvise(memory, bytes, MADV_HUGEPAGE)
        } else {
            let run = longLived ? nil : ActivationRun.current
            switch run?.place(bytes: bytes) ?? .heap(number: nil) {
            case .block(let block, let place):
                (owner, memory) = (.block(block), place)
            case .heap(let number):
                owner = if let run, let number { .recorded(run, number) } else { .heap }
                memory = aligned_alloc(64, (bytes + 63) / 64 * 64)
            }
        }
        guard let memory, memory != MAP_FAILED else {
            fatalError("out of memory: \(bytes) bytes for a tensor of \(count) numbers")
        }
        floats = memory.bindMemory(to: Float.self, capacity: max(count, 1))
        halves = nil
    }

    /// Memory that belongs to `owner`, which stays alive as long as this storage.
    init(borrowing base: UnsafePointer<Float>, count: Int, owner: AnyObject) {
        floats = UnsafeMutablePointer(mutating: base)
        halves = nil
        self.count = count
        self.owner = .other(owner)
    }

    /// Numbers of 16 bits that belong to `owner`.
    init(borrowing halves: UnsafePointer<UInt16>, _ format: HalfFormat, count: Int, owner: AnyObject) {
        floats = nil
        self.halves = (halves, format)
        self.count = count
        self.owner = .other(owner)
    }

    private func widenedCopy() -> Storage {
        widened.withLock { held in
            if let held { return held }
            let copy = Storage(count: count, longLived: true)
            if let halves {
                let widen = halves.format == .f16 ? lk_half_to_float : lk_bfloat_to_float
                widen(copy.base, halves.base, count)
            }
            held = copy
            return copy
        }
    }

    /// Lets go of a lender's pages until they are read again; what is ours stays.
    func releasePages(_ range: Range<Int>) {
        guard case .other(let owner) = owner, let lender = owner as? any PageLender else { return }
        let bytes =
            if let halves {
                UnsafeRawBufferPointer(start: halves.base + range.lowerBound, count: range.count * 2)
            } else {
                UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count * 4)
            }
        lender.release(bytes)
    }

    deinit {
        switch owner {
        case .heap: free(floats)
        case .recorded(let run, let number):
            free(floats)
            run.freed(number)
        case .block(let block): if let floats { block.give(floats) }
        case .pages(let bytes): munmap(floats, bytes)
        case .other: break
        }
    }
}

/// How 16 bits stand for a number.
public enum HalfFormat: String, Sendable, CaseIterable {
    /// IEEE 754 half precision.
    case f16
    /// The upper half of a float.
    case bf16
}

/// What lends tensors memory that it can read again at any time: a mapped file.
package protocol PageLender: AnyObject {
    /// Takes whole pages of `bytes` out of the process; a later read brings them back.
    func release(_ bytes: UnsafeRawBufferPointer)
}

private enum Allocator {
    static let prepare: Void = lk_keep_freed_memory()
}
