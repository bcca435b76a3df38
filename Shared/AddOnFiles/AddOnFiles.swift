public import Foundation

/// What people put beside a model for requests to name: `loras/` and `embeddings/` in its folder, a file each, known by its
/// name without the ending. Files may come and go while services run.
///
/// Knows names only, no tensors, so that the gateway can refuse a name as well as the stages that read the file. A name is
/// looked up among the files that are there and never made a path of.
public struct AddOnFiles: Sendable {
    /// Which of them.
    public enum Kind: String, Sendable { case loras, embeddings }

    /// The model's folder; of a single file, the one it is in.
    public let models: URL

    /// - Parameter models: the folder or single file of a model
    public init(models: URL) {
        let isFile = Self.singleFileEndings.contains(models.pathExtension)
        self.models = isFile ? models.deletingLastPathComponent() : models
    }

    /// Endings that tell a model in one file from a folder.
    public static let singleFileEndings = ["safetensors", "ckpt"]

    /// Why a folder cannot be listed.
    public struct Unreadable: Error, CustomStringConvertible {
        public let description: String
    }

    /// Files by name without ending; of several with one name, safetensors first. Empty where there is no such folder.
    public func files(_ kind: Kind) throws(Unreadable) -> [String: URL] {
        let place = models.appendingPathComponent(kind.rawValue)
        guard FileManager.default.fileExists(atPath: place.path) else { return [:] }
        let found: [String]
        do { found = try FileManager.default.contentsOfDirectory(atPath: place.path) } catch {
            throw Unreadable(description: "\(place.path): cannot be listed: \(error.localizedDescription)")
        }
        var files: [String: URL] = [:]
        for ending in ["safetensors", "pt", "bin", "pth", "ckpt"] {
            for file in found.sorted() where !file.hasPrefix(".") && (file as NSString).pathExtension == ending {
                let stem = (file as NSString).deletingPathExtension
                if files[stem] == nil { files[stem] = place.appendingPathComponent(file) }
            }
        }
        return files
    }

    /// What to say of a LoRA that is not among `files`: what is wrong, and the remedy.
    public func unknownLoRA(_ name: String, among files: [String: URL]) -> (problem: String, remedy: String) {
        let place = models.appendingPathComponent(Kind.loras.rawValue).path
        let known = files.keys.sorted().prefix(50).joined(separator: ", ")
        return (
            "there is no LoRA '\(name.prefix(100))' in \(place)",
            known.isEmpty ? "the folder is empty: put a .safetensors file there" : "there are: \(known)"
        )
    }
}
