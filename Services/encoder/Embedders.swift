import CLIP
import Checkpoint
import Foundation
import ImageIO
import ModelFolder
import TensorEngine

/// Photo → what the IP-Adapter reads of it, as a safetensors file with one tensor `embedding` [E].
struct ImageEmbedder: Sendable {
    let encoder: PhotoEncoder
    /// Hash of the weights.
    var hash: String { encoder.hash }

    init(_ folder: PipelineFolder) throws { encoder = try PhotoEncoder(folder) }

    func callAsFunction(_ file: Data) throws -> Data {
        // Transparent photos are seen over white, as people see them.
        let photo = try ImageFile.decode(file).overWhite
        let pixels = CLIPImageProcessor(size: encoder.side)(photo)
        return try SafetensorsWriter.data(["embedding": encoder(pixels)[0]])
    }
}

/// Prompt → CLIP text states, as a safetensors file: `embedding` [77 · chunks, hidden_size], and `empty` [77, hidden_size],
/// the states of no words, to make another prompt as long.
struct PromptEmbedder: Sendable {
    let encoder: PromptEncoder
    private let empty: Tensor
    /// Hash of the weights.
    let hash: String

    init(_ folder: PipelineFolder) throws {
        encoder = PromptEncoder(try folder.tokenizer(), try folder.text())
        empty = encoder("").states
        // 2: the form of the file. Embeddings that were kept by an earlier version are not found.
        hash = try folder.textHash() + "-2"
    }

    func callAsFunction(_ text: String) throws -> Data {
        try SafetensorsWriter.data(["embedding": encoder(text).states, "empty": empty])
    }

    /// How often the tower has to read the text.
    func chunks(_ text: String) -> Int {
        let tokens = PromptWeights(text).pieces.reduce(0) { $0 + encoder.tokenizer.words(of: $1.text).count }
        return max((tokens + encoder.tokenizer.length - 3) / (encoder.tokenizer.length - 2), 1)
    }
}
