internal import Checkpoint
internal import Foundation

/// The vocabulary as byte-pair merging needs it: ids of single bytes, and which pair of ids makes which third.
struct TokenizerMerges: Sendable {
    /// What a pair becomes, and how early: the lowest rank is merged first.
    private struct Merge {
        var rank: UInt32
        var id: Int
    }

    /// The suffix of a token that ends a word.
    private static let wordEnd = "</w>"

    private let merges: [UInt64: Merge]
    /// Id of each byte within a word, and of each byte that ends one.
    private let inner, last: [Int]

    /// - Parameters:
    ///   - vocabulary: token to id, tokens in GPT-2's printable alphabet
    ///   - text: merges.txt
    ///   - unknown: the id of a byte that the vocabulary lacks
    init(vocabulary: [String: Int], text: Data, unknown: Int) throws {
        guard let text = String(data: text, encoding: .utf8) else {
            throw CheckpointError("merges.txt: is not UTF-8; copy the tokenizer's files again")
        }
        var merges: [UInt64: Merge] = [:]
        var rank: UInt32 = 0
        for (number, var line) in text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            if line.last == "\r" { line.removeLast() }
            if line.isEmpty || number == 0 && line.starts(with: "#version".unicodeScalars) { continue }
            let pair = line.split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
            guard pair.count == 2, !pair[0].isEmpty, !pair[1].isEmpty else {
                throw CheckpointError(
                    "merges.txt: line \(number + 1) is not two tokens with a space between; copy the tokenizer's "
                        + "files again")
            }
            if let left = vocabulary[pair[0]], let right = vocabulary[pair[1]], let id = vocabulary[pair[0] + pair[1]] {
                merges[Self.key(left, right)] = Merge(rank: rank, id: id)
            }
            rank += 1
        }
        self.merges = merges
        inner = Self.alphabet.map { vocabulary[$0] ?? unknown }
        last = Self.alphabet.map { vocabulary[$0 + Self.wordEnd] ?? unknown }
    }

    /// GPT-2's printable stand-in of each byte: itself where Latin-1 prints it, else the next from U+0100 on.
    private static let alphabet: [String] = {
        var next: UInt32 = 0x100
        return (UInt8.min...UInt8.max).map { byte in
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return String(Unicode.Scalar(byte))
            default:
                defer { next += 1 }
                return Unicode.Scalar(next).map { String($0) } ?? ""
            }
        }
    }()

    private static func key(_ left: Int, _ right: Int) -> UInt64 { UInt64(left) << 32 | UInt64(right) }

    /// The tokens of one word.
    ///
    /// The earliest merge first, of equal ones the leftmost; a heap keeps this O(n log n) for a word of n bytes, since
    /// a prompt may be one long word.
    func ids(of word: [UInt8]) -> [Int] {
        guard let final = word.last else { return [] }
        var ids = word.dropLast().map { inner[Int($0)] } + [last[Int(final)]]
        // A doubly linked list over `ids`: a merge writes the left element and unlinks the right one.
        let count = ids.count
        var following = Array(1...count)
        var preceding = Array(-1..<count - 1)
        var queue = TokenizerQueue()
        func merge(at i: Int) -> Merge? {
            following[i] < count ? merges[Self.key(ids[i], ids[following[i]])] : nil
        }
        func enqueue(_ i: Int) {
            if let merge = merge(at: i) { queue.push(UInt64(merge.rank) << 32 | UInt64(i)) }
        }
        for i in 0..<count { enqueue(i) }
        while let entry = queue.pop() {
            let i = Int(entry & 0xFFFF_FFFF)
            // The pair may have changed since it was queued.
            guard following[i] > i, let merge = merge(at: i), UInt64(merge.rank) == entry >> 32 else { continue }
            let removed = following[i]
            ids[i] = merge.id
            following[i] = following[removed]
            if following[i] < count { preceding[following[i]] = i }
            following[removed] = 0
            enqueue(i)
            if preceding[i] >= 0 { enqueue(preceding[i]) }
        }
        return sequence(first: 0) { following[$0] < count ? following[$0] : nil }.map { ids[$0] }
    }
}

/// A binary min-heap.
private struct TokenizerQueue {
    private var heap: [UInt64] = []

    mutating func push(_ value: UInt64) {
        heap.append(value)
        var i = heap.count - 1
        while i > 0, heap[(i - 1) / 2] > heap[i] {
            heap.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    mutating func pop() -> UInt64? {
        guard let least = heap.first, let end = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return least }
        heap[0] = end
        var i = 0
        while true {
            var smallest = i
            for child in [2 * i + 1, 2 * i + 2] where child < heap.count && heap[child] < heap[smallest] {
                smallest = child
            }
            if smallest == i { return least }
            heap.swapAt(i, smallest)
            i = smallest
        }
    }
}
