public import Foundation
import ImageIO

/// Writes rendered people as a data set in the layout of Labeled Faces in the Wild: one folder for each person, named
/// after them, with numbered PNG files, and the captions beside them.
///
///     Ada_Finch/Ada_Finch_0001.png …
///     captions.jsonl    one line for each photo: {"caption": "a photo of …", "file": "Ada_Finch/Ada_Finch_0001.png"}
///     dataset.json      how the folder was made
public enum DatasetWriter {
    /// How a folder was made; the same parameters give the same bytes.
    struct Parameters: Codable, Equatable {
        /// Raised whenever the drawing changes.
        var renderer = 1
        var people: Int
        var photos: Int
        var size: Int
        /// As text: JSON readers elsewhere round large numbers.
        var seed: String
        /// Whether captions.jsonl also says what the people look like.
        var appearance: Bool?
    }

    /// Renders a data set. Where the folder already holds the same one, nothing is rewritten; photos that are missing
    /// from it, after an interruption for example, are added.
    /// - Parameters:
    ///   - people: how many.
    ///   - photos: of each person; 1 … 9999.
    ///   - size: pixels along each side of a photo; 16 … 4096.
    ///   - seed: of identities, names and circumstances. The first people of a larger set are those of a smaller one.
    ///   - appearance: whether `captions.jsonl` also says what each person looks like, for pre-training.
    ///   - folder: made if there is none.
    ///   - progress: called after each person with how many are done.
    /// - Returns: how many files were written.
    /// - Throws: `DatasetError` naming the folder or file.
    @discardableResult
    public static func write(
        people: Int, photos: Int, size: Int, seed: UInt64, appearance describes: Bool = false, to folder: URL,
        progress: (Int) -> Void = { _ in }
    ) throws -> Int {
        guard people >= 1 else { throw DatasetError("\(people) people: ask for at least 1") }
        guard (1...9999).contains(photos) else { throw DatasetError("\(photos) photos: ask for 1 to 9999") }
        guard (16...4096).contains(size) else { throw DatasetError("size \(size): ask for 16 to 4096 pixels") }
        let names = try Names.list(people, seed: seed)
        let parameters = Parameters(
            people: people, photos: photos, size: size, seed: String(seed), appearance: describes ? true : nil)
        try prepare(folder, parameters)

        var (lines, written) = ([(file: String, line: Data)](), 0)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        for (i, name) in names.enumerated() {
            let identity = identity(i, seed: seed)
            let home = folder.appending(path: name)
            try attempt(home) { try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true) }
            for j in 0..<photos {
                let number = String(j + 1)
                let file = "\(name)/\(name)_\(String(repeating: "0", count: 4 - number.count))\(number).png"
                let nuisance = nuisance(person: i, photo: j, seed: seed)
                let record = CaptionLine(
                    file: file, caption: caption(nuisance), appearance: describes ? appearance(identity) : nil)
                lines.append((file, try encoder.encode(record)))
                let target = folder.appending(path: file)
                if FileManager.default.fileExists(atPath: target.path) { continue }
                written += try save(try render(identity, nuisance, size: size).pngData(), to: target)
            }
            progress(i + 1)
        }
        let captions = lines.sorted { $0.file < $1.file }.map { String(decoding: $0.line, as: UTF8.self) + "\n" }
        written += try save(Data(captions.joined().utf8), to: folder.appending(path: FaceDataset.captionsFile))
        return written
    }

    /// Person i of a data set.
    public static func identity(_ person: Int, seed: UInt64) -> PersonIdentity {
        PersonIdentity(seed: CounterRandom.key(5, seed, UInt64(person)))
    }

    /// The circumstances of photo j of person i of a data set.
    public static func nuisance(person: Int, photo: Int, seed: UInt64) -> PhotoNuisance {
        PhotoNuisance(seed: CounterRandom.key(6, seed, UInt64(person), UInt64(photo)))
    }

    private static let parametersFile = "dataset.json"

    /// Makes the folder, or checks that what is in it was made with the same parameters.
    private static func prepare(_ folder: URL, _ parameters: Parameters) throws {
        let note = folder.appending(path: parametersFile)
        let files = FileManager.default
        if files.fileExists(atPath: note.path) {
            let old: Parameters
            do {
                old = try JSONDecoder().decode(Parameters.self, from: Data(contentsOf: note))
            } catch {
                throw DatasetError("\(note.path) is not readable (\(error)); delete the folder or choose another one")
            }
            guard old == parameters else {
                throw DatasetError(
                    "\(folder.path) holds another data set (people \(old.people), photos \(old.photos), size "
                        + "\(old.size), seed \(old.seed), renderer \(old.renderer)); choose another folder, or delete it"
                )
            }
            return
        }
        if files.fileExists(atPath: folder.path) {
            var contents: [String] = []
            try attempt(folder) { contents = try files.contentsOfDirectory(atPath: folder.path) }
            guard contents.isEmpty else {
                throw DatasetError(
                    "\(folder.path) is not empty and no rendered data set; choose an empty or a new folder")
            }
        }
        try attempt(folder) { try files.createDirectory(at: folder, withIntermediateDirectories: true) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        _ = try save(try encoder.encode(parameters) + Data("\n".utf8), to: note)
    }

    /// Writes a file whole or not at all, unless it already has these bytes.
    private static func save(_ data: Data, to file: URL) throws -> Int {
        if FileManager.default.fileExists(atPath: file.path) {
            var old = Data()
            try attempt(file) { old = try Data(contentsOf: file) }
            if old == data { return 0 }
        }
        try attempt(file) { try data.write(to: file, options: .atomic) }
        return 1
    }

    private static func attempt(_ url: URL, _ body: () throws -> Void) throws {
        do { try body() } catch {
            throw DatasetError("cannot write \(url.path): \(error.localizedDescription); check rights and free space")
        }
    }
}

/// One line of captions.jsonl.
struct CaptionLine: Codable {
    /// Path below the data set's folder.
    var file: String
    var caption: String
    /// What the person looks like, where the data set says so.
    var appearance: String?
}
