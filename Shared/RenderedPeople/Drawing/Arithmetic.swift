// The arithmetic of drawing. Only operations that IEEE 754 defines exactly (+ − × ÷ √ and comparisons) are used
// anywhere in this target, never a system's sin, pow or exp: so the same seed gives the same bytes on every machine.

/// A point, or a vector, of the picture or of a shape's own plane.
typealias V2 = SIMD2<Float>

/// Limits to lo … hi.
@inline(__always) func clamp(_ x: Float, _ lo: Float = 0, _ hi: Float = 1) -> Float { min(max(x, lo), hi) }

/// a at t = 0, b at t = 1.
@inline(__always) func mix(_ a: Float, _ b: Float, _ t: Float) -> Float { a + (b - a) * t }

/// 0 below `a`, 1 above `b`, a smooth S between them.
@inline(__always) func smoothstep(_ a: Float, _ b: Float, _ x: Float) -> Float {
    let t = clamp((x - a) / (b - a))
    return t * t * (3 - 2 * t)
}

@inline(__always) func dot(_ a: V2, _ b: V2) -> Float { a.x * b.x + a.y * b.y }
@inline(__always) func length(_ v: V2) -> Float { dot(v, v).squareRoot() }

/// A smooth wave of period 1 between −1 and 1: parabolas in place of a sine.
@inline(__always) func wave(_ t: Float) -> Float {
    let f = t - t.rounded(.down)
    return f < 0.5 ? 16 * f * (0.5 - f) : -16 * (f - 0.5) * (1 - f)
}

/// Sine and cosine of a small angle (|x| ≤ 1) by their power series, to single precision.
func sineAndCosine(_ x: Float) -> (sin: Float, cos: Float) {
    let q = x * x
    return (
        x * (1 - q / 6 * (1 - q / 20 * (1 - q / 42 * (1 - q / 72)))),
        1 - q / 2 * (1 - q / 12 * (1 - q / 30 * (1 - q / 56)))
    )
}

/// A random stream that is a function of its key and a count: the n-th number does not depend on how the others were
/// used. The mixing function is SplitMix64's (Steele, Lea & Flood 2014).
struct CounterRandom {
    private let key: UInt64
    private var count: UInt64 = 0

    init(_ key: UInt64) { self.key = Self.scramble(key ^ 0x6C69_6B65_6E65_7373) }

    /// A key for one part of a larger thing, such as photo 3 of person 7.
    static func key(_ parts: UInt64...) -> UInt64 {
        parts.reduce(0x9E37_79B9_7F4A_7C15) { scramble($0 &+ scramble($1)) }
    }

    static func scramble(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func bits() -> UInt64 {
        count &+= 1
        return Self.scramble(key &+ count &* 0x9E37_79B9_7F4A_7C15)
    }

    /// Uniform in 0 ..< 1, with 24 bits.
    mutating func unit() -> Float { Float(bits() >> 40) / 16_777_216 }

    mutating func range(_ lo: Float, _ hi: Float) -> Float { mix(lo, hi, unit()) }

    /// Near the middle of a range more often than at its ends.
    mutating func middling(_ lo: Float, _ hi: Float) -> Float { mix(lo, hi, (unit() + unit()) / 2) }

    mutating func below(_ count: Int) -> Int { Int(bits() % UInt64(max(count, 1))) }

    mutating func chance(_ probability: Float) -> Bool { unit() < probability }

    mutating func pick<T>(_ first: T, _ others: T...) -> T {
        let i = below(others.count + 1)
        return i == 0 ? first : others[i - 1]
    }

    /// One of the values, each as often as its weight says.
    mutating func weighted<T>(_ options: KeyValuePairs<T, Float>, otherwise: T) -> T {
        var left = unit() * options.reduce(0) { $0 + $1.value }
        for (value, weight) in options {
            left -= weight
            if left < 0 { return value }
        }
        return otherwise
    }

    /// The values in random order.
    mutating func shuffled<T>(_ values: [T]) -> [T] {
        var values = values
        for i in values.indices.dropFirst().reversed() { values.swapAt(i, below(i + 1)) }
        return values
    }
}

/// A number in 0 ..< 1 for a cell of a grid, always the same.
@inline(__always) func cellNoise(_ x: Int32, _ y: Int32, _ salt: UInt32) -> Float {
    var h = UInt32(bitPattern: x) &* 0x8DA6_B343 ^ UInt32(bitPattern: y) &* 0xD816_3841 ^ salt &* 0xCB1A_B31F
    h = (h ^ (h >> 16)) &* 0x7FEB_352D
    h = (h ^ (h >> 15)) &* 0x846C_A68B
    return Float((h ^ (h >> 16)) >> 8) / 16_777_216
}

/// Smooth noise along a line, −1 … 1, one knot for each whole number.
@inline(__always) func lineNoise(_ x: Float, _ salt: UInt32) -> Float {
    let cell = x.rounded(.down)
    let i = Int32(clamp(cell, -1e6, 1e6))
    return mix(cellNoise(i, 0, salt), cellNoise(i + 1, 0, salt), smoothstep(0, 1, x - cell)) * 2 - 1
}
