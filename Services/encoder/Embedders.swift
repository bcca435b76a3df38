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

/// Prompt → CLIP text states, as a safetensors file with one tensor `embedding` [77, hidden_size].
struct PromptEmbedder: Sendable {
    let tokenizer: BytePairTokenizer
    let model: CLIPTextModel
    /// Hash of the weights.
    let hash: String

    init(_ folder: PipelineFolder) throws {
        tokenizer = try folder.tokenizer()
        model = try folder.text()
        hash = try folder.textHash()
    }

    func callAsFunction(_ text: String) throws -> Data {
        try SafetensorsWriter.data(["embedding": model([tokenizer(text).ids]).lastHiddenState[0]])
    }

    /// How many of the text's tokens the tower does not see; 0 for all but long prompts.
    func tokensCutOff(_ text: String) -> Int { max(tokenizer(text).untruncatedLength - tokenizer.length, 0) }
}
