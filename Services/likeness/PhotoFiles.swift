import Contracts
import Foundation

/// A photo on the disk, with the caption that a `captions.jsonl` gives it and the ``FaceEmbeddingFile`` beside it.
struct PhotoFile {
    let url: URL
    let caption: String?
    let faceEmbedding: FaceEmbedding?

    /// The photos at paths: files as they are, folders with all PNG and JPEG files in them, in order of name.
    ///
    /// A person's folder of an LFW-like data set is read as it is; captions are looked for in `captions.jsonl` beside a
    /// photo and one folder above it, by path from there.
    static func find(_ paths: [String]) throws -> [PhotoFile] {
        let files = FileManager.default
        var captions = Captions()
        var photos: [PhotoFile] = []
        for path in paths {
            var isFolder: ObjCBool = false
            guard files.fileExists(atPath: path, isDirectory: &isFolder) else {
                throw UserError("there is no file or folder '\(path)'", remedy: "check the path")
            }
            let url = URL(filePath: path, directoryHint: isFolder.boolValue ? .isDirectory : .notDirectory)
            for photo in isFolder.boolValue ? try list(url) : [url] {
                photos.append(
                    PhotoFile(
                        url: photo, caption: try captions.caption(of: photo),
                        faceEmbedding: try FaceEmbeddingFile.beside(photo)))
            }
        }
        return photos
    }

    private static func list(_ folder: URL) throws -> [URL] {
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: folder.path) } catch {
            throw UserError("cannot read \(folder.path): \(error.localizedDescription)", remedy: "check its rights")
        }
        let photos = names.filter { name in
            !name.hasPrefix(".") && ["png", "jpg", "jpeg"].contains((name as NSString).pathExtension.lowercased())
        }
        guard !photos.isEmpty else {
            throw UserError(
                "\(folder.path) holds no PNG or JPEG files",
                remedy: "give one person's folder of photos, not the folder above it")
        }
        return photos.sorted().map { folder.appending(path: $0) }
    }
}

/// The lines of captions files, each file read once: {"file": "Ada_Finch/Ada_Finch_0001.png", "caption": "…"}.
private struct Captions {
    private struct Line: Decodable {
        let file: String
        let caption: String
    }

    private var known: [URL: [String: String]] = [:]

    mutating func caption(of photo: URL) throws -> String? {
        let photo = photo.standardizedFileURL
        let folder = photo.deletingLastPathComponent()
        let name = photo.lastPathComponent
        if let caption = try captions(in: folder)[name] { return caption }
        return try captions(in: folder.deletingLastPathComponent())["\(folder.lastPathComponent)/\(name)"]
    }

    private mutating func captions(in folder: URL) throws -> [String: String] {
        let file = folder.appending(path: "captions.jsonl")
        if let captions = known[file] { return captions }
        var captions: [String: String] = [:]
        if let data = FileManager.default.contents(atPath: file.path) {
            for (i, text) in data.split(separator: UInt8(ascii: "\n")).enumerated() {
                do {
                    let line = try JSONDecoder().decode(Line.self, from: Data(text))
                    captions[line.file] = line.caption
                } catch {
                    throw UserError(
                        "\(file.path), line \(i + 1) is no caption",
                        remedy: "write {\"file\": \"Name/Name_0001.png\", \"caption\": \"…\"}, or remove the line")
                }
            }
        }
        known[file] = captions
        return captions
    }
}
