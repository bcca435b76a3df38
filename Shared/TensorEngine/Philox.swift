import Foundation

/// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
///
/// Number i of stream s under a key depends on nothing else, so that the same seed gives the same noise on any worker
/// and in any batch split.
///
///     key = the seed's low and high 32 bits;  counter = (block low, block high, stream low, stream high)
public struct Philox: Sendable {
    private let key: (UInt32, UInt32)
    private let stream: UInt64

    /// The numbers of `stream` under `seed`.
    public init(seed: UInt64, stream: UInt64 = 0) {
        key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
        self.stream = stream
    }

    /// Four 32-bit numbers of block `index`.
    public func block(_ index: UInt64) -> (UInt32, UInt32, UInt32, UInt32) {
        var c = (
            UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32),
            UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32)
        )
        var k = key
        for _ in 0..<10 {
            let a = UInt64(0xD251_1F53) * UInt64(c.0)
            let b = UInt64(0xCD9E_8D57) * UInt64(c.2)
            c = (
                UInt32(truncatingIfNeeded: b >> 32) ^ c.1 ^ k.0, UInt32(truncatingIfNeeded: b),
                UInt32(truncatingIfNeeded: a >> 32) ^ c.3 ^ k.1, UInt32(truncatingIfNeeded: a)
            )
            k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
        }
        return c
    }

    /// `count` standard normal numbers: pairs of the stream's numbers through the Box–Muller transform, in double.
    public func normal(_ count: Int) -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { out, filled in
            fillNormal(UnsafeMutableBufferPointer(rebasing: out[..<count]), deviation: 1)
            filled = count
        }
    }

    /// Fills memory with normal numbers of this standard deviation.
    package func fillNormal(_ out: UnsafeMutableBufferPointer<Float>, deviation: Double) {
        for index in 0..<(out.count + 3) / 4 {
            let b = block(UInt64(index))
            let (x, y) = Self.boxMuller(b.0, b.1)
            let (z, w) = Self.boxMuller(b.2, b.3)
            let values = (Float(deviation * x), Float(deviation * y), Float(deviation * z), Float(deviation * w))
            let at = index * 4
            out[at] = values.0
            if at + 1 < out.count { out[at + 1] = values.1 }
            if at + 2 < out.count { out[at + 2] = values.2 }
            if at + 3 < out.count { out[at + 3] = values.3 }
        }
    }

    /// `count` numbers uniform in 0 ..< 1.
    public func uniform(_ count: Int) -> [Float] {
        (0..<count).map { i in
            let b = block(UInt64(i / 4))
            let word = [b.0, b.1, b.2, b.3][i % 4]
            return Float(word >> 8) * 0x1p-24
        }
    }

    /// Whole number `index` of the stream in 0 ..< bound, by multiplication (bias below bound / 2³²).
    public func integer(_ index: Int, below bound: Int) -> Int {
        let b = block(UInt64(index / 4))
        let word = [b.0, b.1, b.2, b.3][index % 4]
        return Int((UInt64(word) * UInt64(bound)) >> 32)
    }

    private static func boxMuller(_ a: UInt32, _ b: UInt32) -> (Double, Double) {
        let radius = (-2 * log((Double(a) + 0.5) * 0x1p-32)).squareRoot()
        let angle = 2 * Double.pi * (Double(b) + 0.5) * 0x1p-32
        return (radius * cos(angle), radius * sin(angle))
    }
}
