import CLIP
import Checkpoint
import Diffusion
public import Foundation
import ImageIO
import ModelFolder
import TensorEngine

/// Reads malformed files as the services read them, and judges what came of it.
public struct Trial {
    /// What a reader answered.
    public enum Outcome: Sendable {
        case read
        /// An error, in words.
        case refused(String)
    }

    private let folder: URL
    private let model: URL

    /// - Parameter folder: an empty one, for the files
    public init(folder: URL) throws {
        self.folder = folder
        model = folder.appendingPathComponent("model")
        try Miniature.write(to: model)
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("files"), withIntermediateDirectories: true)
    }

    /// The mutants of everything that is read.
    public func mutants(fixtures: URL, bombs: Bool = true) throws -> [Mutant] {
        try Mutant.all(fixtures: fixtures, model: model, bombs: bombs)
    }

    /// Writes the file; the answer reads it, and `undo` takes it away.
    public func prepare(_ mutant: Mutant) throws -> (size: Int, read: () -> Outcome, undo: () throws -> Void) {
        let bytes = mutant.bytes()
        let url =
            mutant.kind == .settings
            ? model.appendingPathComponent(mutant.file) : folder.appendingPathComponent("files/\(mutant.file)")
        let before = mutant.kind == .settings ? try Data(contentsOf: url) : nil
        try bytes.write(to: url)
        return (
            bytes.count,
            {
                do {
                    try read(mutant, url)
                    return .read
                } catch { return .refused("\(error)") }
            },
            {
                if let before { try before.write(to: url) } else { try FileManager.default.removeItem(at: url) }
            }
        )
    }

    /// What is wrong with an outcome, or nil.
    public static func complaint(_ mutant: Mutant, _ outcome: Outcome) -> String? {
        switch outcome {
        case .read: return mutant.mustFail ? "was read" : nil
        case .refused(let message):
            if mutant.what.hasSuffix("as it should be") { return "is whole, and refused: \(message)" }
            // A config.json shows where its sizes do not fit the weights: the message then names those.
            let names =
                [mutant.file, (mutant.file as NSString).lastPathComponent]
                + (mutant.kind == .settings
                    ? [String(mutant.file.split(separator: "/")[0]), "config", "scheduler"] : [])
            if !names.contains(where: { message.contains($0) }) { return "the message does not name it: \(message)" }
            if message.utf8.count > 4000 { return "the message has \(message.utf8.count) bytes" }
            if message.utf8.count < 20 { return "the message says nothing: \(message)" }
            return nil
        }
    }

    private func read(_ mutant: Mutant, _ url: URL) throws {
        switch mutant.kind {
        case .picture: _ = try ImageFile.decode(contentsOf: url)
        case .checkpoint: try take(CheckpointFile.open(url))
        case .index: try take(CheckpointFile.open(index: url))
        case .settings: try load(mutant.file)
        }
    }

    /// Takes every tensor as a model does.
    private func take(_ source: any TensorSource) throws {
        let weights = Weights(source)
        for name in source.names {
            guard let shape = source.shape(of: name) else { continue }
            _ = try weights.tensor(name, of: shape)
        }
    }

    private func load(_ file: String) throws {
        let folder = try PipelineFolder(model)
        switch file.split(separator: "/")[0] {
        case "unet": _ = try folder.unet()
        case "vae": _ = try folder.vae()
        case "text_encoder": _ = try folder.text()
        case "ip_adapter": _ = try folder.vision()
        case "evaluation": _ = try folder.evaluationNetwork("identity")
        case "tokenizer": _ = try folder.tokenizer()("a photo of a person")
        default:
            let config = try folder.schedulerConfig()
            for kind in SchedulerKind.allCases { _ = try makeScheduler(kind, config: config, steps: 10) }
        }
    }
}
