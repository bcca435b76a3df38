import Foundation
import ImageIO
import RenderedPeople
import Testing

@Suite struct DatasetTests {
    /// An empty folder that is gone afterwards.
    static func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "people-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer {
            do { try FileManager.default.removeItem(at: folder) } catch { Issue.record(error) }
        }
        try body(folder)
    }

    static func contents(_ folder: URL) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder.path) {
            var isFolder: ObjCBool = false
            let url = folder.appending(path: path)
            if FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), !isFolder.boolValue {
                files[path] = try Data(contentsOf: url)
            }
        }
        return files
    }

    @Test func writtenAndReadBack() throws {
        try Self.withFolder { folder in
            let root = folder.appending(path: "set")
            var done: [Int] = []
            let written = try DatasetWriter.write(people: 4, photos: 3, size: 16, seed: 9, to: root) { done.append($0) }
            #expect(written == 4 * 3 + 1)
            #expect(done == [1, 2, 3, 4])
            let data = try FaceDataset.load(root, minimumPhotos: 3)
            #expect(data.people.count == 4 && data.leftOut == 0)
            #expect(Set(data.people.map(\.name)).count == 4)
            for person in data.people {
                #expect(person.name.split(separator: "_").count == 2)
                #expect(person.photos.map(\.path) == (1...3).map { "\(person.name)/\(person.name)_000\($0).png" })
            }
            // The files hold the pictures, losslessly.
            let pictures = try data.people.map { try $0.photos.map { try $0.image().pixels } }
            let drawn = (0..<4).map { i in
                (0..<3).map { j in
                    render(
                        DatasetWriter.identity(i, seed: 9), DatasetWriter.nuisance(person: i, photo: j, seed: 9),
                        size: 16
                    ).pixels
                }
            }
            #expect(Set(pictures) == Set(drawn))
            // Captions follow from the circumstances alone: nothing of the person goes into them.
            let read = data.people.map { $0.photos.map(\.caption) }
            let made = (0..<4).map { i in
                (0..<3).map { j -> String? in caption(DatasetWriter.nuisance(person: i, photo: j, seed: 9)) }
            }
            #expect(Set(read) == Set(made))
        }
    }

    @Test func writingAgainChangesNothing() throws {
        try Self.withFolder { folder in
            let root = folder.appending(path: "set")
            try DatasetWriter.write(people: 3, photos: 2, size: 16, seed: 1, to: root)
            let before = try Self.contents(root)
            #expect(try DatasetWriter.write(people: 3, photos: 2, size: 16, seed: 1, to: root) == 0)
            #expect(try Self.contents(root) == before)
            // A photo that went missing comes back the same.
            let lost = try #require(before.keys.first { $0.hasSuffix("_0002.png") })
            try FileManager.default.removeItem(at: root.appending(path: lost))
            #expect(try DatasetWriter.write(people: 3, photos: 2, size: 16, seed: 1, to: root) == 1)
            #expect(try Self.contents(root) == before)
            // Other parameters are refused, and change nothing.
            let error = try #require(throws: DatasetError.self) {
                try DatasetWriter.write(people: 3, photos: 2, size: 16, seed: 2, to: root)
            }
            #expect(error.description.contains(root.path))
            #expect(try Self.contents(root) == before)
        }
    }

    @Test func aLargerSetHoldsTheSmallerOne() throws {
        try Self.withFolder { folder in
            let (small, large) = (folder.appending(path: "small"), folder.appending(path: "large"))
            try DatasetWriter.write(people: 2, photos: 2, size: 16, seed: 4, to: small)
            try DatasetWriter.write(people: 5, photos: 3, size: 16, seed: 4, to: large)
            let (few, many) = (try Self.contents(small), try Self.contents(large))
            for (path, bytes) in few where path.hasSuffix(".png") { #expect(many[path] == bytes, "\(path)") }
        }
    }

    @Test func strangersFoldersAreLeftAlone() throws {
        try Self.withFolder { folder in
            try Data("keep".utf8).write(to: folder.appending(path: "notes.txt"))
            let error = try #require(throws: DatasetError.self) {
                try DatasetWriter.write(people: 1, photos: 1, size: 16, seed: 1, to: folder)
            }
            #expect(error.description.contains(folder.path))
            #expect(try Self.contents(folder) == ["notes.txt": Data("keep".utf8)])
        }
    }

    @Test func impossibleWishesAreRefused() throws {
        try Self.withFolder { folder in
            let root = folder.appending(path: "set")
            for (people, photos, size, word) in [
                (0, 1, 16, "people"), (1, 0, 16, "photos"), (1, 10_000, 16, "photos"), (1, 1, 8, "size"),
                (1_000_000, 1, 16, "names"),
            ] {
                let error = try #require(throws: DatasetError.self) {
                    try DatasetWriter.write(people: people, photos: photos, size: size, seed: 1, to: root)
                }
                #expect(error.description.contains(word), "\(error)")
            }
            #expect(!FileManager.default.fileExists(atPath: root.path))
        }
    }

    /// LFW as it is downloaded: JPEG files, people with few photos, no captions, other files beside them.
    @Test func laysOutLikeLFW() throws {
        try Self.withFolder { folder in
            for (name, photos) in [("Aaron_Peirsol", 4), ("George_W_Bush", 12), ("Zico", 3)] {
                let home = folder.appending(path: name)
                try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
                for i in 1...photos {
                    let number = String(repeating: "0", count: i < 10 ? 3 : 2) + String(i)
                    try Data([0xFF, 0xD8]).write(to: home.appending(path: "\(name)_\(number).jpg"))
                }
            }
            try Data().write(to: folder.appending(path: "README.txt"))
            try Data().write(to: folder.appending(path: "Zico/.hidden.jpg"))
            let many = try FaceDataset.load(folder)
            #expect(many.people.map(\.name) == ["George_W_Bush"] && many.leftOut == 2)
            #expect(many.people[0].photos.count == 12 && many.people[0].photos.allSatisfy { $0.caption == nil })
            let all = try FaceDataset.load(folder, minimumPhotos: 3)
            #expect(all.people.map(\.name) == ["Aaron_Peirsol", "George_W_Bush", "Zico"])
            // Its photos here are cut off after two bytes: reading one names the file.
            let damaged = try #require(throws: DatasetError.self) { try all.people[0].photos[0].image() }
            #expect(damaged.description.contains("Aaron_Peirsol_0001.jpg"))
            let nobody = try #require(throws: DatasetError.self) { try FaceDataset.load(folder, minimumPhotos: 13) }
            #expect(nobody.description.contains("13 photos") && nobody.description.contains(folder.path))

            // Captions as a side file, as LLaVA's would be.
            let file = folder.appending(path: "captions.jsonl")
            let line = #"{"file": "Zico/Zico_0002.jpg", "caption": "a photo of a person"}"#
            try Data((line + "\n\n").utf8).write(to: file)
            let captioned = try FaceDataset.load(folder, minimumPhotos: 3).people[2].photos.map(\.caption)
            #expect(captioned == [nil, "a photo of a person", nil])
            try Data("{}\n".utf8).write(to: file)
            let bad = try #require(throws: DatasetError.self) { try FaceDataset.load(folder) }
            #expect(bad.description.contains(file.path) && bad.description.contains("line 1"))
        }
    }

    @Test func missingFoldersAreNamed() throws {
        try Self.withFolder { folder in
            let nowhere = folder.appending(path: "nowhere")
            let error = try #require(throws: DatasetError.self) { try FaceDataset.load(nowhere) }
            #expect(error.description.contains(nowhere.path))
            let empty = try #require(throws: DatasetError.self) { try FaceDataset.load(folder) }
            #expect(empty.description.contains(folder.path))
        }
    }

    @Test func splitIsByPersonAndSeeded() throws {
        try Self.withFolder { folder in
            let root = folder.appending(path: "set")
            try DatasetWriter.write(people: 30, photos: 1, size: 16, seed: 2, to: root)
            let data = try FaceDataset.load(root, minimumPhotos: 1)
            let (training, testing) = try data.split(seed: 7)
            #expect(training.count == 20 && testing.count == 10)
            #expect(Set(training.map(\.name)).isDisjoint(with: testing.map(\.name)))
            #expect(Set((training + testing).map(\.name)) == Set(data.people.map(\.name)))
            let again = try data.split(seed: 7)
            #expect(again.training == training && again.testing == testing)
            let other = try data.split(seed: 8)
            #expect(other.testing != testing)

            let two = try #require(try FaceDataset.load(root, minimumPhotos: 1).people.first)
            try FileManager.default.removeItem(at: root)
            let home = root.appending(path: two.name)
            try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
            try Data().write(to: home.appending(path: "one.png"))
            #expect(throws: DatasetError.self) { try FaceDataset.load(root, minimumPhotos: 1).split(seed: 1) }
        }
    }
}
