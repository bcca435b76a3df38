internal import Crypto
public import Foundation

/// What an object is; its key ends so.
public enum ObjectType: String, Sendable, CaseIterable {
    case png
    case jpeg = "jpg"
    case safetensors
    case json

    /// For HTTP.
    public var mediaType: String {
        switch self {
        case .png: "image/png"
        case .jpeg: "image/jpeg"
        case .safetensors: "application/octet-stream"
        case .json: "application/json"
        }
    }
}

/// Where pictures and tensors are: keyed by their content, never changed.
public protocol ObjectStore: Sendable {
    /// Stores bytes and returns their key; the same bytes again write nothing.
    func put(_ data: Data, type: ObjectType) async throws -> String
    /// The bytes of a key.
    func get(_ key: String) async throws -> Data
    /// Whether there is such an object.
    func exists(_ key: String) async throws -> Bool
}

/// A name in an object store: `<2 hex>/<SHA-256 in hex>.<type>`.
public struct ObjectKey: Sendable, Hashable {
    /// SHA-256 of the bytes, hex.
    public let hash: String
    public let type: ObjectType

    /// The key of these bytes.
    public init(_ data: Data, type: ObjectType) {
        hash = contentHash(data)
        self.type = type
    }

    /// Reads a key's text; nil for anything else, such as a path that leads out of the store.
    public init?(_ text: String) {
        guard let match = text.wholeMatch(of: /([0-9a-f]{2})\/([0-9a-f]{64})\.([a-z]+)/), match.2.hasPrefix(match.1),
            let type = ObjectType(rawValue: String(match.3))
        else { return nil }
        (hash, self.type) = (String(match.2), type)
    }

    /// The key's text.
    public var text: String { "\(hash.prefix(2))/\(hash).\(type.rawValue)" }
}

/// SHA-256, hex.
public func contentHash(_ data: Data) -> String {
    SHA256.hash(data: data).map { String(format: "%02x", $0) }.joined()
}

/// Objects as files of one folder, which every service on the machine (or a shared file system) sees.
public struct FolderObjectStore: ObjectStore {
    private let folder: URL

    /// A store in `folder`, which is made when the first object comes.
    public init(_ folder: URL) { self.folder = folder }

    /// Writes a temporary file, flushes it to the disk, then moves it into place: a key is there whole or not at all.
    public func put(_ data: Data, type: ObjectType) async throws -> String {
        let key = ObjectKey(data, type: type)
        let url = folder.appendingPathComponent(key.text)
        if FileManager.default.fileExists(atPath: url.path) { return key.text }
        let parent = url.deletingLastPathComponent()
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        let draft = parent.appendingPathComponent(".\(UUID().uuidString)")
        do {
            try data.write(to: draft)
            let handle = try FileHandle(forUpdating: draft)
            try handle.synchronize()
            try handle.close()
            guard rename(draft.path, url.path) == 0 else {
                throw StoreError.object("\(url.path): cannot be written: \(String(cString: strerror(errno)))")
            }
        } catch {
            try? FileManager.default.removeItem(at: draft)
            throw error
        }
        return key.text
    }

    /// Reads an object and checks that its bytes are the ones its key names.
    public func get(_ key: String) async throws -> Data {
        let url = try url(key)
        guard let data = FileManager.default.contents(atPath: url.path) else {
            throw StoreError.object("there is no object \(key) in \(folder.path)")
        }
        guard ObjectKey(key)?.hash == contentHash(data) else {
            throw StoreError.object("object \(key) in \(folder.path) is damaged: its bytes do not have its hash")
        }
        return data
    }

    /// Whether there is such an object.
    public func exists(_ key: String) async throws -> Bool {
        FileManager.default.fileExists(atPath: try url(key).path)
    }

    private func url(_ key: String) throws -> URL {
        guard let parsed = ObjectKey(key) else { throw StoreError.object("'\(key)' is not an object's key") }
        return folder.appendingPathComponent(parsed.text)
    }
}
