/// A prompt taken apart at `(words:1.2)`: what is between such brackets counts by that factor, brackets in brackets by the
/// product. `\(` and `\)` are plain brackets, and so is every bracket without a number.
public struct PromptWeights: Sendable, Equatable {
    /// A piece of the prompt and its weight.
    public struct Piece: Sendable, Equatable {
        public var text: String
        public var weight: Float
    }

    /// In order; their texts together are the prompt without its weights.
    public let pieces: [Piece]

    /// Takes a prompt apart.
    public init(_ prompt: String) {
        var parser = Parser(Array(prompt))
        pieces = parser.parse()
    }

    private struct Parser {
        let characters: [Character]
        /// For each bracket that opens a weighted piece: where its `:number)` begins and ends, and the number.
        var groups: [Int: (colon: Int, end: Int, weight: Float)] = [:]

        init(_ characters: [Character]) {
            self.characters = characters
            var open: [Int] = []
            var i = 0
            while i < characters.count {
                switch characters[i] {
                case "\\" where i + 1 < characters.count && "()".contains(characters[i + 1]): i += 1
                case "(": open.append(i)
                case ")":
                    guard let start = open.popLast() else { break }
                    if let colon = characters[start..<i].lastIndex(of: ":"),
                        let weight = Float(String(characters[(colon + 1)..<i]).filter { $0 != " " }), weight.isFinite,
                        (0...10).contains(weight)
                    {
                        groups[start] = (colon, i, weight)
                    }
                default: break
                }
                i += 1
            }
        }

        mutating func parse() -> [Piece] {
            let colons = Dictionary(uniqueKeysWithValues: groups.values.map { ($0.colon, $0.end) })
            var pieces: [Piece] = []
            var weights: [Float] = [1]
            var text = ""
            func flush() {
                let weight = weights.reduce(1, *)
                if text.isEmpty { return }
                if let last = pieces.last, last.weight == weight {
                    pieces[pieces.count - 1].text += text
                } else {
                    pieces.append(Piece(text: text, weight: weight))
                }
                text = ""
            }
            var i = 0
            while i < characters.count {
                if characters[i] == "\\", i + 1 < characters.count, "()".contains(characters[i + 1]) {
                    text.append(characters[i + 1])
                    i += 2
                } else if let group = groups[i] {
                    flush()
                    weights.append(group.weight)
                    i += 1
                } else if let end = colons[i] {
                    flush()
                    weights.removeLast()
                    i = end + 1
                } else {
                    text.append(characters[i])
                    i += 1
                }
            }
            flush()
            return pieces
        }
    }
}
