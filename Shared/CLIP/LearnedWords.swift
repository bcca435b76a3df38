public import Checkpoint
public import TensorEngine

/// A word that stands for vectors of its own in the text tower (textual inversion, arXiv 2208.01618), of a file in any of
/// the forms that people share:
///
/// | form | tensors |
/// |---|---|
/// | diffusers, `learned_embeds.safetensors` or `.bin` | one, named by the word: `<cat-toy>` [D] or [K, D] |
/// | AUTOMATIC1111 `.pt` | `string_to_param` / `*` [K, D] |
/// | AUTOMATIC1111 and kohya-ss `.safetensors` | `emb_params` [K, D] |
public struct LearnedWord: Sendable {
    /// What a prompt may call it: the file's name, and the word in the file.
    public let names: [String]
    /// [K, D]: it is K tokens long.
    public let vectors: Tensor

    /// Reads a file.
    ///
    /// - Parameters:
    ///   - name: the file's, without its ending
    ///   - width: D of the text tower
    /// - Throws: `CheckpointError` for a file of another form or another model
    public init(_ file: any TensorSource, name: String, width: Int) throws {
        let candidates = file.names.filter { key in
            guard let shape = file.shape(of: key) else { return false }
            return (1...2).contains(shape.count) && shape.last == width
        }
        guard candidates.count == 1, let key = candidates.first else {
            let found = file.names.sorted().prefix(4).map { "\($0) \(file.shape(of: $0) ?? [])" }
            throw CheckpointError(
                "\(file): is no textual inversion for this model, which is one tensor of \(width) columns; it has "
                    + found.joined(separator: ", "))
        }
        let vectors = try file.tensor(key).reshaped([-1, width])
        guard (1...75).contains(vectors.shape[0]) else {
            throw CheckpointError("\(file): has \(vectors.shape[0]) vectors; a prompt has room for 75")
        }
        let isAnonymous = key == "emb_params" || key.hasPrefix("string_to_param")
        names = isAnonymous || key == name ? [name] : [name, key]
        self.vectors = vectors
    }
}

extension LearnedWord {
    /// Whether a text names a word, as the text tower will find it: whatever the case, and only as a whole word.
    public static func isNamed(_ name: String, in text: String) -> Bool {
        LearnedWordFinder(names: [(Array(name.lowercased()), 0)]).parts(of: text).contains(.word(0))
    }
}

/// A text cut at the learned words in it.
struct LearnedWordFinder {
    enum Part: Equatable {
        case text(String)
        /// Index of the word.
        case word(Int)
    }
    /// Names in lower case with the index of their word, longest first.
    private let names: [(name: [Character], word: Int)]

    init(_ words: [LearnedWord]) {
        self.init(names: words.enumerated().flatMap { i, word in word.names.map { (Array($0.lowercased()), i) } })
    }

    fileprivate init(names: [(name: [Character], word: Int)]) {
        self.names = names.sorted { $0.name.count > $1.name.count }
    }

    /// Whatever the case, and only as whole words: `mine` is not in `mines`.
    func parts(of text: String) -> [Part] {
        let characters = Array(text)
        let lower = characters.map { Character($0.lowercased().count == 1 ? $0.lowercased() : String($0)) }
        var parts: [Part] = []
        var (begin, i) = (0, 0)
        func isWordlike(_ c: Character) -> Bool { c.isLetter || c.isNumber || c == "_" }
        while i < lower.count {
            let found = names.first { name, _ in
                guard let (first, last) = name.first.flatMap({ f in name.last.map { (f, $0) } }) else { return false }
                let end = i + name.count
                guard end <= lower.count, lower[i..<end].elementsEqual(name) else { return false }
                let startsWhole = i == 0 || !(isWordlike(lower[i - 1]) && isWordlike(first))
                return startsWhole && (end == lower.count || !(isWordlike(lower[end]) && isWordlike(last)))
            }
            if let found {
                if begin < i { parts.append(.text(String(characters[begin..<i]))) }
                parts.append(.word(found.word))
                i += found.name.count
                begin = i
            } else {
                i += 1
            }
        }
        if begin < characters.count { parts.append(.text(String(characters[begin...]))) }
        return parts
    }
}
