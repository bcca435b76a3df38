public import Foundation
public import ImageIO

/// A data set of people in the layout of Labeled Faces in the Wild: a folder for each person with their photos (PNG or
/// JPEG), and, where there are captions, `captions.jsonl` beside the folders. Rendered people and LFW itself, with
/// captions by any model, are read alike.
public struct FaceDataset: Sendable {
    /// A person and their photos, in order of file name.
    public struct Person: Sendable, Hashable {
        /// The folder's name, such as `Ada_Finch`.
        public let name: String
        /// All of this person's photos.
        public let photos: [Photo]
    }

    /// A photo, not yet read.
    public struct Photo: Sendable, Hashable {
        /// Path below the data set's folder, with `/`.
        public let path: String
        /// Where the file is.
        public let url: URL
        /// What `captions.jsonl` says about it, or nil.
        public let caption: String?
        /// What the person in it looks like, where `captions.jsonl` says so (pre-training data only), or nil.
        public let appearance: String?

        /// Reads the photo.
        /// - Throws: `DatasetError` naming the file.
        public func image() throws -> RGBImage {
            let data: Data
            do { data = try Data(contentsOf: url) } catch {
                throw DatasetError("cannot read \(url.path): \(error.localizedDescription); check its rights")
            }
            do { return try ImageFile.decode(data).overWhite } catch {
                throw DatasetError("\(url.path): \(error) Or remove it from the data set.")
            }
        }
    }

    /// People with enough photos, in order of name.
    public let people: [Person]
    /// How many people were left out for having too few photos.
    public let leftOut: Int

    static let captionsFile = "captions.jsonl"
    private static let endings: Set<String> = ["png", "jpg", "jpeg"]

    /// Lists a data set. Photos are not opened.
    /// - Parameters:
    ///   - folder: holds the people's folders.
    ///   - minimumPhotos: people with fewer are left out; the paper takes 10.
    /// - Throws: `DatasetError` naming the folder, the file or the line.
    public static func load(_ folder: URL, minimumPhotos: Int = 10) throws -> FaceDataset {
        let files = FileManager.default
        let names: [String]
        do {
            names = try files.contentsOfDirectory(atPath: folder.path).sorted()
        } catch {
            throw DatasetError(
                "cannot read \(folder.path); give the folder that holds one folder for each person, or make one with "
                    + "likeness dataset render")
        }
        let captions = try captions(in: folder)
        var (people, leftOut, found) = ([Person](), 0, 0)
        for name in names where !name.hasPrefix(".") {
            let home = folder.appending(path: name)
            var isFolder: ObjCBool = false
            guard files.fileExists(atPath: home.path, isDirectory: &isFolder), isFolder.boolValue else { continue }
            let entries: [String]
            do {
                entries = try files.contentsOfDirectory(atPath: home.path).sorted()
            } catch { throw DatasetError("cannot read \(home.path): \(error.localizedDescription); check its rights") }
            let photos = entries.filter { !$0.hasPrefix(".") && isPhoto($0) }.map { file in
                let path = "\(name)/\(file)"
                let record = captions[path]
                return Photo(
                    path: path, url: home.appending(path: file), caption: record?.caption,
                    appearance: record?.appearance)
            }
            guard !photos.isEmpty else { continue }
            found += 1
            if photos.count >= minimumPhotos {
                people.append(Person(name: name, photos: photos))
            } else {
                leftOut += 1
            }
        }
        guard !people.isEmpty else {
            throw DatasetError(
                found == 0
                    ? "\(folder.path) holds no folders with PNG or JPEG photos; give the folder that holds one folder "
                        + "for each person"
                    : "none of the \(found) people in \(folder.path) has \(minimumPhotos) photos; ask for fewer, or add "
                        + "photos")
        }
        return FaceDataset(people: people, leftOut: leftOut)
    }

    /// Two thirds of the people for training, one third for testing, chosen by the seed. Nobody is in both.
    /// - Throws: `DatasetError` with fewer than two people.
    public func split(seed: UInt64) throws -> (training: [Person], testing: [Person]) {
        guard people.count >= 2 else {
            throw DatasetError("a split by person needs at least 2 people with enough photos, not \(people.count)")
        }
        var random = CounterRandom(CounterRandom.key(7, seed))
        let order = random.shuffled(Array(people.indices))
        let testing = Set(order.prefix(max(1, (people.count + 1) / 3)))
        return (
            people.indices.filter { !testing.contains($0) }.map { people[$0] },
            people.indices.filter { testing.contains($0) }.map { people[$0] }
        )
    }

    private static func isPhoto(_ file: String) -> Bool {
        guard let dot = file.lastIndex(of: ".") else { return false }
        return endings.contains(file[file.index(after: dot)...].lowercased())
    }

    /// Captions by path; none where there is no such file.
    private static func captions(in folder: URL) throws -> [String: CaptionLine] {
        let file = folder.appending(path: captionsFile)
        guard FileManager.default.fileExists(atPath: file.path) else { return [:] }
        let text: Data
        do { text = try Data(contentsOf: file) } catch {
            throw DatasetError("cannot read \(file.path): \(error.localizedDescription); check its rights")
        }
        var captions: [String: CaptionLine] = [:]
        let decoder = JSONDecoder()
        for (i, line) in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { continue }
            let record: CaptionLine
            do { record = try decoder.decode(CaptionLine.self, from: Data(line)) } catch {
                throw DatasetError(
                    "\(file.path), line \(i + 1): expected {\"file\": \"Name/Name_0001.png\", \"caption\": \"…\"}; "
                        + "correct or remove the line")
            }
            guard captions.updateValue(record, forKey: record.file) == nil else {
                throw DatasetError("\(file.path), line \(i + 1): a second caption for \(record.file); remove one")
            }
        }
        return captions
    }
}
