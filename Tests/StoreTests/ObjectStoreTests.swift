import Foundation
import Store
import Testing

@Suite struct ObjectStoreTests {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    var store: FolderObjectStore { FolderObjectStore(folder) }

    @Test func theSameBytesHaveTheSameKeyAndAreWrittenOnce() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let key = try await store.put(Data("abc".utf8), type: .png)
        #expect(key == "ba/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.png")
        let url = folder.appendingPathComponent(key)
        let before = try FileManager.default.attributesOfItem(atPath: url.path)[.systemFileNumber] as? UInt64
        #expect(try await store.put(Data("abc".utf8), type: .png) == key)
        let after = try FileManager.default.attributesOfItem(atPath: url.path)[.systemFileNumber] as? UInt64
        #expect(before == after)
        #expect(try await store.get(key) == Data("abc".utf8))
        // Nothing but the object is left behind.
        let files = try FileManager.default.contentsOfDirectory(atPath: url.deletingLastPathComponent().path)
        #expect(files.count == 1)
    }

    @Test func damagedAndMissingObjectsAreErrors() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let key = try await store.put(Data("abc".utf8), type: .json)
        try Data("abd".utf8).write(to: folder.appendingPathComponent(key))
        await #expect(throws: StoreError.self) { _ = try await store.get(key) }
        let missing = ObjectKey(Data("x".utf8), type: .png).text
        await #expect(throws: StoreError.self) { _ = try await store.get(missing) }
        #expect(try await store.exists(missing) == false)
    }

    @Test(arguments: ["../../etc/passwd", "", "ab/cd.png", "/etc/passwd", "ba/../ba.png"])
    func pathTricksAreRefused(key: String) async throws {
        await #expect(throws: StoreError.self) { _ = try await store.get(key) }
    }
}
