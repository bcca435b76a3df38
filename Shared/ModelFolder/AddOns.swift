public import CLIP
internal import Checkpoint
internal import Diffusion
public import Foundation
import Synchronization

/// A LoRA by its name and how much of it.
public struct LoRAChoice: Sendable, Hashable {
    public var name: String
    public var weight: Float

    public init(name: String, weight: Float) { (self.name, self.weight) = (name, weight) }
}

/// What people put beside a model to change it: `loras/` and `embeddings/` in its folder, a file each, found by its name
/// without the ending. Files may come and go while a service runs.
///
/// A name is looked up among the files that are there and never made a path of.
public final class AddOns: Sendable {
    private let folder: PipelineFolder
    /// Hashes of files by path, for as long as size and time of the file stay the same.
    private let hashes = Mutex<[String: (stamp: String, hash: String)]>([:])
    private let changesOfText = Mutex<[String: Bool]>([:])

    /// The add-ons of a model's folder.
    public init(_ folder: PipelineFolder) { self.folder = folder }

    /// LoRAs that are to change a model, with what identifies them.
    public struct Chosen: Sendable {
        /// In the order of the request.
        public let loras: [(choice: LoRAChoice, file: URL, hash: String)]

        /// The same for the same bytes and weights only: `<hash>*<weight>` of each, "" for none.
        public var identity: String { loras.map { "\($0.hash)*\($0.choice.weight)" }.joined(separator: "+") }
    }

    /// Finds LoRAs by name.
    /// - Throws: `CheckpointError` that lists those there are
    public func find(_ choices: [LoRAChoice]) throws -> Chosen {
        let files = try self.files(in: "loras")
        return Chosen(
            loras: try choices.map { choice in
                guard let file = files[choice.name] else {
                    let known = files.keys.sorted().prefix(50).joined(separator: ", ")
                    throw CheckpointError(
                        "there is no LoRA '\(choice.name.prefix(100))' in \(folder.url.path)/loras; "
                            + (known.isEmpty
                                ? "the folder is empty: put a .safetensors file there" : "there are: \(known)"))
                }
                return (choice, file, try hash(of: file))
            })
    }

    /// Those of `chosen` that change the text tower.
    public func changingText(_ chosen: Chosen) throws -> Chosen {
        guard !chosen.loras.isEmpty else { return chosen }
        let text = try folder.textSource()
        return Chosen(
            loras: try chosen.loras.filter { lora in
                if let known = changesOfText.withLock({ $0[lora.hash] }) { return known }
                let changes = try !LoRA(CheckpointFile.open(lora.file), for: text, part: .textEncoder).isEmpty
                changesOfText.withLock { $0[lora.hash] = changes }
                return changes
            })
    }

    /// The text tower with LoRAs merged into it.
    public func text(_ chosen: Chosen) throws -> CLIPTextModel {
        let base = try folder.textSource()
        let loras = try chosen.loras.map {
            (try LoRA(CheckpointFile.open($0.file), for: base, part: .textEncoder), $0.choice.weight)
        }
        return try CLIPTextModel(Weights(LoRA.applied(loras, to: base)), folder.textConfig())
    }

    /// The words of textual inversion that a prompt may name, with their files' hashes: files of `embeddings/` whose name,
    /// or whose word, is somewhere in the text.
    public func words(in text: String, width: Int) throws -> [(word: LearnedWord, hash: String)] {
        let text = text.lowercased()
        return try files(in: "embeddings").sorted { $0.key < $1.key }.compactMap { name, file in
            let source: any TensorSource
            do { source = try CheckpointFile.open(file) } catch {
                // A damaged file matters to those who name it.
                if text.contains(name.lowercased()) { throw error }
                return nil
            }
            guard ([name] + source.names).contains(where: { text.contains($0.lowercased()) }) else { return nil }
            return (try LearnedWord(source, name: name, width: width), try hash(of: file))
        }
    }

    /// Files of a folder by name without ending; of several with one name, safetensors first.
    private func files(in name: String) throws -> [String: URL] {
        let place = folder.url.appendingPathComponent(name)
        guard FileManager.default.fileExists(atPath: place.path) else { return [:] }
        let found: [String]
        do { found = try FileManager.default.contentsOfDirectory(atPath: place.path) } catch {
            throw CheckpointError("\(place.path): cannot be listed: \(error.localizedDescription)")
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

    private func hash(of file: URL) throws -> String {
        let attributes = try FileManager.default.attributesOfItem(atPath: file.resolvingSymlinksInPath().path)
        let time = (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
        let stamp = "\(attributes[.size] ?? 0) \(time)"
        if let known = hashes.withLock({ $0[file.path] }), known.stamp == stamp { return known.hash }
        let hash = try PipelineFolder.hash([file])
        hashes.withLock { $0[file.path] = (stamp, hash) }
        return hash
    }
}
