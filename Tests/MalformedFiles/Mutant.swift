public import Foundation

/// A file that is wrong in one way.
public struct Mutant {
    /// How it is read.
    public enum Kind: String, Sendable, CaseIterable {
        /// Every tensor as a model takes it.
        case checkpoint
        /// `*.index.json` with its parts beside it.
        case index
        case picture
        /// A part of a model folder, loaded with this file in place of its own.
        case settings
    }

    /// What was done to it.
    public let what: String
    public let kind: Kind
    /// The file's name; with `settings`, its path in the model folder.
    public let file: String
    /// Whether an error is the only right answer. A changed weight is still a weight.
    public let mustFail: Bool
    /// Bytes that may be taken beyond twice the file's size: for pictures, what the pixels take.
    public let allowance: Int
    /// The file.
    public let bytes: () -> Data

    init(
        _ what: String, _ kind: Kind, _ file: String, mustFail: Bool = true, allowance: Int = 0,
        _ bytes: @autoclosure @escaping () -> Data
    ) {
        (self.what, self.kind, self.file, self.mustFail) = (what, kind, file, mustFail)
        (self.allowance, self.bytes) = (allowance, bytes)
    }

    /// All mutants, the same ones every time.
    ///
    /// - Parameters:
    ///   - fixtures: files of `torch.save` (Tests/CheckpointTests/Fixtures)
    ///   - model: a miniature model folder
    ///   - bombs: whether to include files of many megabytes
    public static func all(fixtures: URL, model: URL, bombs: Bool = true) throws -> [Mutant] {
        try SafetensorsMutants.all(bombs: bombs) + TorchMutants.all(fixtures, bombs: bombs)
            + PictureMutants.all(bombs: bombs) + SettingsMutants.all(model)
    }
}

/// xorshift64*, so that "random" files are the same on every machine.
struct Dice {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func roll(_ bound: Int) -> Int {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return Int((state &* 2_685_821_657_736_338_717) >> 33) % bound
    }

    /// `data` with up to three bytes changed, all of them within `range`.
    mutating func flipped(_ data: Data, _ range: Range<Int>? = nil) -> Data {
        let range = range ?? 0..<data.count
        var data = data
        for _ in 0...roll(3) { data[range.lowerBound + roll(range.count)] ^= UInt8(1 + roll(255)) }
        return data
    }
}

extension Data {
    mutating func little(_ value: UInt64, _ width: Int) {
        for i in 0..<width { append(UInt8(truncatingIfNeeded: value >> UInt64(8 * i))) }
    }

    mutating func big(_ value: UInt32) {
        for i in 0..<4 { append(UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * i))) }
    }

    /// With the bytes from `place` on replaced.
    func replacing(at place: Int, _ bytes: [UInt8]) -> Data {
        var data = self
        data.replaceSubrange(place..<place + bytes.count, with: bytes)
        return data
    }
}
