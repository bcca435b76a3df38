public import TensorEngine

/// Prompts of any length, with weights, → text states.
///
/// A prompt of up to 75 tokens without weights is encoded as Stable Diffusion does it. A longer one is read in chunks of
/// 75, each between a start and an end token, whose states stand one after the other. Weights multiply the states of their
/// tokens, and the whole is scaled back to the mean it had, so that emphasis does not change the picture's contrast
/// (diffusers' community pipeline `lpw_stable_diffusion`).
public struct PromptEncoder: Sendable {
    /// The tower's tokenizer.
    public let tokenizer: BytePairTokenizer
    let model: CLIPTextModel
    private let finder: LearnedWordFinder
    /// The learned words' vectors, one word after the other, and the id of each word's first.
    private let learned: Tensor?
    private let learnedIDs: [Range<Int>]

    /// Of a tower and its tokenizer.
    /// - Parameter words: words of textual inversion; each stands for as many tokens as it has vectors
    public init(_ tokenizer: BytePairTokenizer, _ model: CLIPTextModel, words: [LearnedWord] = []) {
        (self.tokenizer, self.model) = (tokenizer, model)
        finder = LearnedWordFinder(words)
        learned = words.isEmpty ? nil : .stacked(words.map(\.vectors))
        var ids: [Range<Int>] = []
        for word in words {
            let first = ids.last?.upperBound ?? model.config.vocabSize
            ids.append(first..<first + word.vectors.shape[0])
        }
        learnedIDs = ids
    }

    /// Layers of the tower: `clipSkip` leaves out fewer.
    public var layers: Int { model.config.numHiddenLayers }

    /// A prompt's tokens without start and end, with their weights.
    public func tokens(of prompt: String) -> [(id: Int, weight: Float)] {
        PromptWeights(prompt).pieces.flatMap { piece in
            finder.parts(of: piece.text).flatMap { part in
                let ids =
                    switch part {
                    case .text(let text): tokenizer.words(of: text)
                    case .word(let word): Array(learnedIDs[word])
                    }
                return ids.map { ($0, piece.weight) }
            }
        }
    }

    /// What a prompt becomes.
    public struct Encoded: Sendable {
        /// [77 · chunks, D]
        public let states: Tensor
        /// How often the tower had to read.
        public let chunks: Int
        /// Tokens of the prompt, without start and end.
        public let tokens: Int
    }

    /// Encodes a prompt.
    /// - Parameter clipSkip: how many of the tower's last layers are left out, fewer than ``layers`` (diffusers' `clip_skip`)
    public func callAsFunction(_ prompt: String, clipSkip: Int = 0) -> Encoded {
        let tokens = tokens(of: prompt)
        let room = tokenizer.length - 2
        let chunks = stride(from: 0, to: max(tokens.count, 1), by: room).map { start in
            Array(tokens[start..<min(start + room, tokens.count)])
        }
        let filled = chunks.map { chunk in
            [(id: tokenizer.startToken, weight: Float(1))] + chunk
                + Array(repeating: (id: tokenizer.endToken, weight: Float(1)), count: room - chunk.count + 1)
        }
        let output = model(filled.map { $0.map(\.id) }, learned: learned)
        let states = model.clipSkip(output, clipSkip).reshaped([-1, model.config.hiddenSize])
        let weights = filled.flatMap { $0.map(\.weight) }
        return Encoded(
            states: weights.allSatisfy { $0 == 1 } ? states : Self.weighted(states, weights), chunks: chunks.count,
            tokens: tokens.count)
    }

    private static func weighted(_ states: Tensor, _ weights: [Float]) -> Tensor {
        let width = states.shape[1]
        let before = states.scalars
        var after = before
        for i in after.indices { after[i] *= weights[i / width] }
        func mean(_ x: [Float]) -> Double { x.reduce(0) { $0 + Double($1) } / Double(x.count) }
        let (old, new) = (mean(before), mean(after))
        // A mean of zero says nothing of the size.
        let factor = abs(new) > 1e-12 ? Float(old / new) : 1
        return Tensor(after.map { $0 * factor }, shape: states.shape)
    }
}
