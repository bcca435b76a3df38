internal import CKernels
import Glibc

/// Memory that tensors share: 64-byte aligned floats of its own, or floats that something else owns (a mapped file).
///
/// A storage is written only by the operation that makes it, before anyone else sees it; after that it is read-only,
/// which is what makes the unchecked `Sendable` true.
final class Storage: @unchecked Sendable {
    let base: UnsafeMutablePointer<Float>
    let count: Int
    private let owner: AnyObject?

    /// Uninitialised memory for `count` floats.
    init(count: Int) {
        Allocator.prepare
        self.count = count
        owner = nil
        let bytes = max(count, 1) * MemoryLayout<Float>.stride
        guard let memory = aligned_alloc(64, (bytes + 63) / 64 * 64) else {
            fatalError("out of memory: \(bytes) bytes for a tensor of \(count) numbers")
        }
        base = memory.bindMemory(to: Float.self, capacity: max(count, 1))
    }

    /// Memory that belongs to `owner`, which stays alive as long as this storage.
    init(borrowing base: UnsafePointer<Float>, count: Int, owner: AnyObject) {
        self.base = UnsafeMutablePointer(mutating: base)
        self.count = count
        self.owner = owner
    }

    deinit { if owner == nil { free(base) } }
}

private enum Allocator {
    static let prepare: Void = lk_keep_freed_memory()
}
