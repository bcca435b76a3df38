internal import Synchronization

/// Remembers the tokens of words, shared by all copies of one tokenizer.
final class TokenizerCache: Sendable {
    /// Longer words are seldom seen twice.
    private static let longestWord = 48
    /// When so many words are remembered, all are forgotten: prompts come from users and must not fill the memory.
    private static let capacity = 8192

    private let words = Mutex<[[UInt8]: [Int]]>([:])

    /// The word's tokens, from memory or by `compute`.
    func ids(of word: [UInt8], compute: () -> [Int]) -> [Int] {
        guard word.count <= Self.longestWord else { return compute() }
        if let known = words.withLock({ $0[word] }) { return known }
        let ids = compute()
        words.withLock { words in
            if words.count >= Self.capacity { words.removeAll(keepingCapacity: true) }
            words[word] = ids
        }
        return ids
    }
}
