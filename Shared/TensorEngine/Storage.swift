internal import CKernels
import Glibc

/// Memory that tensors share: 64-byte aligned floats of its own, or floats that something else owns (a mapped file).
///
/// A storage is written only by the operation that makes it, before anyone else sees it; after that it is read-only,
/// which is what makes the unchecked `Sendable` true.
final class Storage: @unchecked Sendable {
    let base: UnsafeMutablePointer<Float>
    let count: Int
    private let owner: Owner

    private enum Owner {
        case heap
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
            owner = .heap
            memory = aligned_alloc(64, (bytes + 63) / 64 * 64)
        }
        guard let memory, memory != MAP_FAILED else {
            fatalError("out of memory: \(bytes) bytes for a tensor of \(count) numbers")
        }
        base = memory.bindMemory(to: Float.self, capacity: max(count, 1))
    }

    /// Memory that belongs to `owner`, which stays alive as long as this storage.
    init(borrowing base: UnsafePointer<Float>, count: Int, owner: AnyObject) {
        self.base = UnsafeMutablePointer(mutating: base)
        self.count = count
        self.owner = .other(owner)
    }

    /// Lets go of a lender's pages until they are read again; what is ours stays.
    func releasePages(_ range: Range<Int>) {
        guard case .other(let owner) = owner, let lender = owner as? any PageLender else { return }
        lender.release(UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count * 4))
    }

    deinit {
        switch owner {
        case .heap: free(base)
        case .pages(let bytes): munmap(base, bytes)
        case .other: break
        }
    }
}

/// What lends tensors memory that it can read again at any time: a mapped file.
package protocol PageLender: AnyObject {
    /// Takes whole pages of `bytes` out of the process; a later read brings them back.
    func release(_ bytes: UnsafeRawBufferPointer)
}

private enum Allocator {
    static let prepare: Void = lk_keep_freed_memory()
}
