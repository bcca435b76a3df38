internal import AddOnFiles
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

/// What people put beside a model to change it (`AddOnFiles`), read.
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
        let files = try self.files(.loras)
        return Chosen(
            loras: try choices.map { choice in
                guard let file = files[choice.name] else {
                    let words = AddOnFiles(models: folder.url).unknownLoRA(choice.name, among: files)
                    throw CheckpointError("\(words.problem); \(words.remedy)")
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
    /// or whose word, is a word of the text.
    public func words(in text: String, width: Int) throws -> [(word: LearnedWord, hash: String)] {
        try files(.embeddings).sorted { $0.key < $1.key }.compactMap { name, file in
            let source: any TensorSource
            do { source = try CheckpointFile.open(file) } catch {
                // A damaged file matters to those who name it.
                if LearnedWord.isNamed(name, in: text) { throw error }
                return nil
            }
            guard ([name] + source.names).contains(where: { LearnedWord.isNamed($0, in: text) }) else { return nil }
            return (try LearnedWord(source, name: name, width: width), try hash(of: file))
        }
    }

    private func files(_ kind: AddOnFiles.Kind) throws -> [String: URL] {
        do { return try AddOnFiles(models: folder.url).files(kind) } catch { throw CheckpointError("\(error)") }
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
