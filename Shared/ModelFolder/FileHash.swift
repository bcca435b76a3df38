internal import Crypto
public import Foundation

/// SHA-256 over files' bytes, in order, as hex: the name of a model part in the database, under which what it computed is
/// found again.
///
/// Large files are read for it once: the hash is kept in the user's cache folder (`likeness/hashes`), beside what tells that
/// the files are still those (path, size, time of change, inode). So that a file that changes within the clock's
/// resolution cannot be mistaken for what it was, nothing is kept of files that were changed less than a minute ago.
public struct FileHash: Sendable {
    /// Files that together are smaller are read each time.
    public var smallest = 64 << 20
    /// nil: nothing is kept.
    public var cache = FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first?
        .appendingPathComponent("likeness/hashes")
    /// Files that were changed less than so long ago are read each time.
    public var quarantine: TimeInterval = 60

    /// As services use it.
    public init() {}

    /// The files' hash.
    public func callAsFunction(_ files: [URL]) throws -> String {
        guard let cache, let stamp = stamp(of: files) else { return try Self.read(files) }
        let entry = cache.appendingPathComponent(
            Self.hex(SHA256.hash(data: Data(files.map(\.path).joined(separator: "\n").utf8))))
        if let text = try? String(contentsOf: entry, encoding: .utf8), text.hasPrefix(stamp + "\n") {
            return String(text.dropFirst(stamp.count + 1))
        }
        let hash = try Self.read(files)
        // Only if the files are those that were looked at before they were read. Without a place to keep it in, it is
        // computed again next time.
        if stamp == self.stamp(of: files) {
            try? FileManager.default.createDirectory(at: cache, withIntermediateDirectories: true)
            try? Data("\(stamp)\n\(hash)".utf8).write(to: entry, options: .atomic)
        }
        return hash
    }

    /// What changes with the files; nil where the hash is not to be kept.
    private func stamp(of files: [URL]) -> String? {
        var (parts, size): ([String], Int) = ([], 0)
        for file in files {
            let path = file.resolvingSymlinksInPath().path
            guard let facts = try? FileManager.default.attributesOfItem(atPath: path),
                let bytes = (facts[.size] as? NSNumber)?.intValue, let time = facts[.modificationDate] as? Date,
                let inode = (facts[.systemFileNumber] as? NSNumber)?.uint64Value,
                time.timeIntervalSinceNow < -quarantine
            else { return nil }
            size += bytes
            parts.append("\(path) \(bytes) \(time.timeIntervalSince1970) \(inode)")
        }
        return size < smallest ? nil : Self.hex(SHA256.hash(data: Data(parts.joined(separator: "\n").utf8)))
    }

    private static func read(_ files: [URL]) throws -> String {
        var hash = SHA256()
        for file in files {
            let handle = try FileHandle(forReadingFrom: file)
            defer { try? handle.close() }
            while let chunk = try handle.read(upToCount: 8 << 20), !chunk.isEmpty { hash.update(data: chunk) }
        }
        return hex(hash.finalize())
    }

    private static func hex(_ digest: SHA256.Digest) -> String { digest.map { String(format: "%02x", $0) }.joined() }
}
