import CLIP
import Checkpoint
import Contracts
import Foundation
import ImageIO
import ModelFolder
import Synchronization
import TensorEngine

/// Photo → what the IP-Adapter reads of it, as a safetensors file with one tensor `embedding` [E].
struct ImageEmbedder: Sendable {
    private let reader: PhotoReader
    /// Hash of the weights.
    let hash: String

    init(_ folder: PipelineFolder) throws { (reader, hash) = (try PhotoReader(folder), try folder.photoHash()) }

    /// Whether face embeddings are read, which may have come with the photos.
    var readsFaces: Bool { reader.readsFaces }

    func callAsFunction(_ file: Data) throws -> Data {
        // Transparent photos are seen over white, as people see them.
        try SafetensorsWriter.data(["embedding": reader(ImageFile.decode(file).overWhite)])
    }

    func callAsFunction(_ face: FaceEmbedding) throws -> Data {
        try SafetensorsWriter.data(["embedding": reader(face: face.numbers)])
    }
}

/// Prompt → CLIP text states, as a safetensors file: `embedding` [77 · chunks, hidden_size], and `empty` [77, hidden_size],
/// the states of no words, to make another prompt as long.
struct PromptEmbedder: Sendable {
    private let tokenizer: BytePairTokenizer
    private let model: CLIPTextModel
    private let addOns: AddOns
    private let changed = ChangedTowers()
    /// Hash of the weights.
    private let hash: String

    init(_ folder: PipelineFolder) throws {
        (tokenizer, model, addOns) = (try folder.tokenizer(), try folder.text(), AddOns(folder))
        // 2: the form of the file. Embeddings that were kept by an earlier version are not found.
        hash = try folder.textHash() + "-2"
    }

    /// One prompt, read in one way.
    struct Reading: Sendable {
        let text: String
        let encoder: PromptEncoder
        let clipSkip: Int
        /// Names the weights and all else that the embedding depends on.
        let model: String

        /// How often the tower has to read the text.
        var chunks: Int {
            let room = encoder.tokenizer.length - 2
            return max((encoder.tokens(of: text).count + room - 1) / room, 1)
        }

        func embed() throws -> Data {
            try SafetensorsWriter.data([
                "embedding": encoder(text, clipSkip: clipSkip).states, "empty": encoder("", clipSkip: clipSkip).states,
            ])
        }
    }

    /// - Throws: `CheckpointError` for LoRAs that are not there, and for more layers left out than there are
    func reading(_ text: String, _ how: PromptReading?) throws -> Reading {
        let clipSkip = how?.clipSkip ?? 0
        guard clipSkip < model.config.numHiddenLayers else {
            throw CheckpointError(
                "clip_skip is \(clipSkip), this model's text tower has \(model.config.numHiddenLayers) layers; leave out fewer"
            )
        }
        let choices = (how?.loras ?? []).map { LoRAChoice(name: $0.name, weight: Float($0.weight ?? 1)) }
        let loras = try addOns.changingText(addOns.find(choices))
        let words = try addOns.words(in: text, width: model.config.hiddenSize)
        let tower = try loras.loras.isEmpty ? model : changed.tower(loras.identity) { try addOns.text(loras) }
        var parts = [hash]
        if clipSkip > 0 { parts.append("skip\(clipSkip)") }
        if !loras.loras.isEmpty { parts += ["lora", loras.identity] }
        for word in words { parts += ["word"] + word.word.names + [word.hash] }
        return Reading(
            text: text, encoder: PromptEncoder(tokenizer, tower, words: words.map(\.word)), clipSkip: clipSkip,
            model: parts.joined(separator: "-"))
    }
}

/// The text tower with LoRAs in it that was asked for last: most jobs have one set of them.
private final class ChangedTowers: Sendable {
    private let last = Mutex<(identity: String, tower: CLIPTextModel)?>(nil)

    func tower(_ identity: String, make: () throws -> CLIPTextModel) throws -> CLIPTextModel {
        try last.withLock { last in
            if let last, last.identity == identity { return last.tower }
            let tower = try make()
            last = (identity, tower)
            return tower
        }
    }
}
