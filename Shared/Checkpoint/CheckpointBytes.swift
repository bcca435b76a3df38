import Foundation
package import TensorEngine

/// The bytes of a checkpoint: a file mapped read-only, whose pages all processes share, or a copy of bytes in memory.
final class CheckpointBytes: PageLender, @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    private let isMapped: Bool

    /// Maps a file.
    init(_ url: URL) throws {
        let file = open(url.path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw CheckpointError("\(url.path): cannot be opened: \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, (status.st_mode & S_IFMT) == S_IFREG else {
            throw CheckpointError("\(url.path): is not a regular file")
        }
        let size = Int(status.st_size)
        guard size > 0 else { throw CheckpointError("\(url.path): is empty; copy or download it again") }
        guard let base = mmap(nil, size, PROT_READ, MAP_SHARED, file, 0), base != MAP_FAILED else {
            throw CheckpointError("\(url.path): cannot be mapped: \(String(cString: strerror(errno)))")
        }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
        isMapped = true
    }

    /// Copies bytes.
    init(_ data: Data) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: data.count, alignment: 64)
        copy.copyBytes(from: data)
        bytes = UnsafeRawBufferPointer(copy)
        isMapped = false
    }

    package func release(_ bytes: UnsafeRawBufferPointer) {
        guard isMapped, let start = bytes.baseAddress else { return }
        let page = sysconf(Int32(_SC_PAGESIZE))
        let (begin, end) = (UInt(bitPattern: start), UInt(bitPattern: start) + UInt(bytes.count))
        let (first, last) = ((begin + UInt(page) - 1) / UInt(page) * UInt(page), end / UInt(page) * UInt(page))
        guard first < last, let pages = UnsafeMutableRawPointer(bitPattern: first) else { return }
        madvise(pages, Int(last - first), MADV_DONTNEED)
    }

    deinit {
        if isMapped {
            munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        } else {
            bytes.deallocate()
        }
    }
}
