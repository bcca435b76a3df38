internal import Foundation

/// What happens to a text before its bytes are merged: normalising and cutting into words.
enum TokenizerText {
    /// NFC, each run of Unicode white space to one space, each scalar to lower case.
    ///
    /// Scalar by scalar, so that Σ becomes σ at a word's end too: HF tokenizers lowercases one character at a time.
    static func normalized(_ text: String) -> String {
        let isASCII = text.utf8.allSatisfy { $0 < 0x80 }
        let composed = isASCII ? text : tibetanVowelsApart(text).precomposedStringWithCanonicalMapping
        var out = String.UnicodeScalarView()
        var inSpace = false
        for scalar in composed.unicodeScalars {
            let isSpace = scalar.properties.isWhitespace
            if !isSpace {
                out.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
            } else if !inSpace {
                out.append(" ")
            }
            inSpace = isSpace
        }
        return String(out)
    }

    /// Three Tibetan vowel signs, decomposed; NFC never keeps them.
    ///
    /// Foundation does so too but then leaves their halves in the wrong order where two signs meet.
    private static func tibetanVowelsApart(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { tibetanVowels[$0] != nil }) else { return text }
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if let halves = tibetanVowels[scalar] { out.append(contentsOf: halves) } else { out.append(scalar) }
        }
        return String(out)
    }

    private static let tibetanVowels: [Unicode.Scalar: [Unicode.Scalar]] = [
        "\u{F73}": ["\u{F71}", "\u{F72}"], "\u{F75}": ["\u{F71}", "\u{F74}"], "\u{F81}": ["\u{F71}", "\u{F80}"],
    ]

    /// The words of a normalised text, as UTF-8.
    ///
    /// By hand what these two expressions do one after the other, CLIP's and (inside each of its matches) GPT-2's:
    ///
    ///     <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
    ///     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
    ///
    /// The second only ever divides a match of `<|startoftext|>` or `<|endoftext|>` (written in capitals, they pass as
    /// text and arrive here in lower case) into three; the first still ends the last of those at its `>`.
    static func words(of text: String) -> [[UInt8]] {
        let scalars = Array(text.unicodeScalars)
        let kinds = scalars.map(Kind.init)
        var words: [[UInt8]] = []
        var i = 0
        func take(to end: Int) {
            words.append(scalars[i..<end].flatMap { Array(UTF8.encode($0) ?? UTF8.encodedReplacementCharacter) })
            i = end
        }
        while i < scalars.count {
            if scalars[i] == "<", let name = markers.first(where: { scalars[i...].starts(with: $0) }) {
                let end = i + name.count
                take(to: i + 2)
                take(to: end - 2)
                take(to: end)
            } else if scalars[i] == "'", let ending = contractions.first(where: { scalars[i...].starts(with: $0) }) {
                take(to: i + ending.count)
            } else {
                switch kinds[i] {
                case .space: i += 1
                case .number: take(to: i + 1)
                case .letter, .other: take(to: kinds[i...].firstIndex { $0 != kinds[i] } ?? scalars.count)
                }
            }
        }
        return words
    }

    private static let markers = ["<|startoftext|>", "<|endoftext|>"].map { Array($0.unicodeScalars) }
    private static let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map { Array($0.unicodeScalars) }

    private enum Kind {
        case letter, number, space, other

        init(_ scalar: Unicode.Scalar) {
            // The tables of the reference (Oniguruma in tokenizers 0.23) end with Unicode 16; Swift's go further.
            if !scalar.isASCII, let age = scalar.properties.age, age.major > 16 {
                self = .other
                return
            }
            switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: self = .letter
            case .decimalNumber, .letterNumber, .otherNumber: self = .number
            default: self = scalar.properties.isWhitespace ? .space : .other
            }
        }
    }
}
