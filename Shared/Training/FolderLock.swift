internal import Checkpoint
public import Foundation
import Glibc

/// Keeps a folder of training states to one holder, of all processes that see it: two that save their states there would
/// undo each other's. Held until the last reference is dropped or the process ends, however it ends (`flock(2)`).
public final class FolderLock: Sendable {
    private let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Makes the folder if need be and locks it.
    ///
    /// - Throws: `CheckpointError` while another holds it, or where it cannot be written
    public static func hold(_ folder: URL) throws -> FolderLock {
        guard let lock = try lock(folder) else {
            throw CheckpointError(
                "\(folder.path): another process trains here; wait for its end, or name another folder")
        }
        return lock
    }

    /// The same, but waits until whoever holds it lets go, or the task is cancelled.
    public static func wait(for folder: URL) async throws -> FolderLock {
        while true {
            if let lock = try lock(folder) { return lock }
            try await Task.sleep(for: .seconds(1))
        }
    }

    private static func lock(_ folder: URL) throws -> FolderLock? {
        let file = folder.appendingPathComponent(".lock")
        func failure() -> CheckpointError {
            CheckpointError("\(file.path): cannot be locked: \(String(cString: strerror(errno)))")
        }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let descriptor = open(file.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        // The folder may have been removed between the two calls, by a holder that was done with it.
        if descriptor < 0 && errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw failure() }
        let lock = FolderLock(descriptor)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            if errno == EWOULDBLOCK { return nil }
            throw failure()
        }
        // Nor is a lock on a file that was removed with its folder worth anything.
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_nlink > 0 else { return nil }
        return lock
    }
}
