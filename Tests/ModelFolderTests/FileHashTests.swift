import Foundation
import ModelFolder
import Testing

/// Hashes of files, computed and kept.
@Suite struct FileHashTests {
    private func withFolder(_ body: (URL, FileHash) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("hash-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var hash = FileHash()
        (hash.smallest, hash.quarantine) = (0, 60)
        hash.cache = folder.appendingPathComponent("cache/hashes")
        try body(folder, hash)
    }

    /// A file of this text, changed so long ago.
    private func write(_ text: String, _ file: URL, age: TimeInterval = 1000) throws {
        try Data(text.utf8).write(to: file)
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -age)], ofItemAtPath: file.path)
    }

    private func kept(_ hash: FileHash) throws -> [URL] {
        let cache = try #require(hash.cache)
        guard FileManager.default.fileExists(atPath: cache.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(at: cache, includingPropertiesForKeys: nil)
    }

    @Test func itIsSHA256OfAllBytesInOrder() throws {
        try withFolder { folder, hash in
            let (a, b) = (folder.appendingPathComponent("a"), folder.appendingPathComponent("b"))
            try write("ab", a)
            try write("c", b)
            let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            for _ in 0..<2 { #expect(try hash([a, b]) == abc) }
            #expect(try hash([b, a]) != abc)
        }
    }

    @Test func aKeptHashIsUsedUntilTheFileChanges() throws {
        try withFolder { folder, hash in
            let file = folder.appendingPathComponent("file")
            try write("one", file)
            let one = try hash([file])
            let entry = try #require(try kept(hash).first)
            // What is kept is what is answered: the file is not read again.
            let text = try String(contentsOf: entry, encoding: .utf8)
            try Data(text.replacing(one, with: "kept").utf8).write(to: entry)
            #expect(try hash([file]) == "kept")
            // Another time, another size or another file in its place is read.
            try write("two", file, age: 500)
            let two = try hash([file])
            #expect(two != "kept" && two != one)
            try write("one", file, age: 1000)
            #expect(try hash([file]) == one)
            try write("longer", file, age: 1000)
            #expect(try hash([file]) != one)
        }
    }

    @Test func fresherAndSmallerFilesAreReadEachTime() throws {
        try withFolder { folder, hash in
            let file = folder.appendingPathComponent("file")
            try write("one", file, age: 0)
            _ = try hash([file])
            #expect(try kept(hash).isEmpty)
            try write("one", file)
            var picky = hash
            picky.smallest = 4
            _ = try picky([file])
            #expect(try kept(hash).isEmpty)
            #expect(throws: (any Error).self) { try hash([folder.appendingPathComponent("none")]) }
        }
    }

    @Test func withoutAPlaceToKeepItTheHashIsTheSame() throws {
        try withFolder { folder, hash in
            let file = folder.appendingPathComponent("file")
            try write("one", file)
            let want = try hash([file])
            var homeless = hash
            for place in [nil, file.appendingPathComponent("below a file")] {
                homeless.cache = place
                #expect(try homeless([file]) == want)
            }
        }
    }
}
