internal import CLIP
import Synchronization
internal import TensorEngine

/// Captions → the frozen text tower's states, each caption encoded once.
final class CaptionEncoder: Sendable {
    private let text: CLIPTextModel
    private let tokenizer: BytePairTokenizer
    private let known = Mutex<[String: Tensor]>([:])

    init(_ text: CLIPTextModel, _ tokenizer: BytePairTokenizer) { (self.text, self.tokenizer) = (text, tokenizer) }

    /// How many of the captions have more words than the tower reads; it reads their beginning.
    func tooLong(_ captions: [String]) -> Int {
        captions.reduce(0) { $0 + (tokenizer($1).untruncatedLength > tokenizer.length ? 1 : 0) }
    }

    /// [N, 77, D]
    func callAsFunction(_ captions: [String]) -> Tensor {
        let new = Set(captions).filter { caption in known.withLock { $0[caption] == nil } }.sorted()
        if !new.isEmpty {
            let states = text(new.map { tokenizer($0).ids }).lastHiddenState
            known.withLock { table in for (i, caption) in new.enumerated() { table[caption] = states[i..<i + 1] } }
        }
        return .stacked(captions.map { caption in known.withLock { $0[caption] ?? .zeros([1]) } })
    }
}
