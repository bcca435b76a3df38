import ArgumentParser
import Foundation
import RenderedPeople

/// `likeness dataset`: people to train and test with, rendered or photographed.
struct DatasetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dataset", abstract: "Renders and lists data sets of people.",
        subcommands: [Render.self, List.self])

    /// `likeness dataset render`: writes rendered people in LFW's layout, with captions.
    struct Render: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "render",
            abstract: "Draws people who do not exist, several photos of each, with captions.",
            discussion: """
                Writes Name_Surname/Name_Surname_0001.png … and captions.jsonl, the layout of Labeled Faces in the Wild.
                The same options give the same files; in a folder that has them already, only missing ones are added.
                """)

        @Option(help: "Folder to write: a new or an empty one, or one made with the same options.")
        var out: String

        @Option(help: "How many people.")
        var people = 120

        @Option(help: "Photos of each person.")
        var photos = 20

        @Option(help: "Pixels along each side of a photo.")
        var size = 64

        @Option(help: "Seed of the people, their names and the circumstances of their photos.")
        var seed: UInt64 = 1

        @Flag(help: "Also say in captions.jsonl what the people look like, for pre-training.")
        var appearance = false

        func validate() throws {
            guard people >= 1 else { throw ValidationError("--people \(people): ask for at least 1") }
            guard (1...9999).contains(photos) else { throw ValidationError("--photos \(photos): ask for 1 to 9999") }
            guard (16...4096).contains(size) else { throw ValidationError("--size \(size): ask for 16 to 4096") }
        }

        func run() throws {
            let folder = URL(filePath: out)
            let clock = ContinuousClock()
            let start = clock.now
            var reported = start
            let written = try DatasetWriter.write(
                people: people, photos: photos, size: size, seed: seed, appearance: appearance, to: folder
            ) { done in
                guard clock.now - reported > .seconds(5) else { return }
                reported = clock.now
                print("\(done) of \(people) people")
            }
            let seconds = (clock.now - start) / .seconds(1)
            print(
                "\(folder.path): \(people) people, \(people * photos) photos, \(written) files written in "
                    + "\(seconds.formatted(.number.precision(.fractionLength(1)))) s")
        }
    }

    /// `likeness dataset list`: what a folder of people holds and how it would be split.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Shows the people of a data set and how they are split 2:1.")

        @Argument(help: "Folder with one folder for each person.")
        var folder: String

        @Option(help: "Leave out people with fewer photos.")
        var minimumPhotos = 10

        @Option(help: "Seed of the split by person: that of training.")
        var splitSeed: UInt64 = 1

        func run() throws {
            let data = try FaceDataset.load(URL(filePath: folder), minimumPhotos: minimumPhotos)
            let testing = data.people.count > 1 ? Set(try data.split(seed: splitSeed).testing.map(\.name)) : []
            for person in data.people {
                let captions = person.photos.count { $0.caption != nil }
                print(
                    "\(testing.contains(person.name) ? "test " : "train")  \(person.name)  \(person.photos.count) photos, "
                        + "\(captions) captions")
            }
            print(
                "\(data.people.count) people (\(data.people.count - testing.count) to train, \(testing.count) to test); "
                    + "\(data.leftOut) with fewer than \(minimumPhotos) photos left out")
        }
    }
}
