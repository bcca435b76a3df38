import Foundation
import RenderedPeople
import TensorEngine
import Testing
import Training

/// What training reads, and what it does with data that are not as they should be.
@Suite struct DataTests {
    private func dataset(people: Int = 3, photos: Int = 10) throws -> URL {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("people-\(UUID().uuidString)")
        try DatasetWriter.write(people: people, photos: photos, size: 64, seed: 3, appearance: true, to: url)
        return url
    }

    @Test func aCorruptPhotoAmongTenIsLeftOutAndTold() throws {
        let url = try dataset()
        defer { try? FileManager.default.removeItem(at: url) }
        let people = try FaceDataset.load(url).people
        try Data("not a picture".utf8).write(to: people[0].photos[4].url)
        let album = try Album(people, side: 64)
        #expect(album.photos.count == 29)
        #expect(album.people[0].count == 9)
        #expect(album.unreadable.count == 1)
        #expect(album.unreadable[0].contains(people[0].photos[4].path))
    }

    @Test func aPersonLeftWithTooFewPhotosIsLeftOut() throws {
        let url = try dataset()
        defer { try? FileManager.default.removeItem(at: url) }
        let people = try FaceDataset.load(url).people
        for photo in people[1].photos.dropFirst() { try Data().write(to: photo.url) }
        let album = try Album(people, side: 64, minimumPhotos: 2)
        #expect(album.people.count == 2)
        #expect(album.unreadable.contains { $0.contains(people[1].name) && $0.contains("1 readable") })
    }

    @Test func photosWithoutCaptionsGetThePlainOne() throws {
        let url = try dataset(people: 1)
        defer { try? FileManager.default.removeItem(at: url) }
        try FileManager.default.removeItem(at: url.appendingPathComponent("captions.jsonl"))
        let album = try Album(try FaceDataset.load(url).people, side: 64)
        #expect(album.withoutCaption == 10)
        #expect(album.photos.allSatisfy { $0.caption == Album.defaultCaption })
    }

    @Test func nobodyLeftIsAnErrorThatSaysWhy() throws {
        let url = try dataset(people: 1)
        defer { try? FileManager.default.removeItem(at: url) }
        let people = try FaceDataset.load(url).people
        for photo in people[0].photos { try Data([1, 2, 3]).write(to: photo.url) }
        #expect { try Album(people, side: 64) } throws: { "\($0)".contains("nobody has") }
    }

    @Test func pretrainingCaptionsSayWhatPeopleLookLike() throws {
        let url = try dataset(people: 2)
        defer { try? FileManager.default.removeItem(at: url) }
        let people = try FaceDataset.load(url).people
        for person in people {
            let words = Set(person.photos.map(\.appearance))
            #expect(words.count == 1)
            #expect(words.first??.contains("eyes") == true)
            #expect(person.photos.allSatisfy { $0.caption?.contains("skin") == false })
        }
    }

    @Test func theBatchesOfARunDependOnTheirNumberAlone() {
        func draw(_ number: Int, _ name: String = "a") -> [Int] {
            var random = BatchRandom(seed: 1, name: name, batch: number)
            return (0..<8).map { _ in random.integer(below: 1000) }
        }
        #expect(draw(3) == draw(3))
        #expect(draw(3) != draw(4))
        #expect(draw(3) != draw(3, "b"))
        var random = BatchRandom(seed: 1, name: "a", batch: 0)
        #expect(Set(random.sample(10, below: 10)) == Set(0..<10))
        #expect(random.sample(10, below: 4).count == 4)
    }

    @Test func warmUpAndDecayAreAsStated() {
        var settings = OptimizerSettings(learningRate: 1)
        settings.lrWarmupSteps = 10
        #expect(settings.rate(5, of: 100) == 0.5)
        #expect(settings.rate(50, of: 100) == 1)
        settings.cosineDecay = true
        #expect(settings.rate(11, of: 100) > 0.99)
        #expect(abs(settings.rate(55, of: 99) - 0.5) < 0.02)
        #expect(settings.rate(100, of: 100) < 0.01)
    }
}

@Suite struct CurriculumSettingsTests {
    @Test func onlyWhatDiffersIsGiven() throws {
        let json = Data(#"{"people": 900, "steps": {"self-attention": 12}}"#.utf8)
        var expected = CurriculumSettings()
        expected.people = 900
        expected.steps["self-attention"] = 12
        #expect(try CurriculumSettings(overriding: json) == expected)
    }

    @Test(arguments: [
        (#"{"persons": 3}"#, "'persons'"), (#"{"steps": {"gan": 3}}"#, "'gan'"), ("[]", "no JSON object"),
        (#"{"people": "many"}"#, "cannot be read"),
    ])
    func whatCannotBeReadIsNamed(_ json: String, _ words: String) {
        do {
            _ = try CurriculumSettings(overriding: Data(json.utf8))
            Issue.record("accepted \(json)")
        } catch { #expect("\(error)".contains(words)) }
    }
}
