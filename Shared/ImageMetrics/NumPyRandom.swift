/// `numpy.random.RandomState(seed)` as far as torch-fidelity draws from it, so that scores over random subsets come out the
/// same: MT19937 (Matsumoto and Nishimura 1998) and NumPy's legacy shuffle.
struct NumPyRandom {
    private static let size = 624
    private var state: [UInt32]
    private var next = size

    init(seed: UInt32) {
        state = [seed]
        for i in 1..<Self.size {
            let last = state[i - 1]
            state.append(1_812_433_253 &* (last ^ last >> 30) &+ UInt32(i))
        }
    }

    private mutating func word() -> UInt32 {
        if next == Self.size {
            for i in 0..<Self.size {
                let y = state[i] & 0x8000_0000 | state[(i + 1) % Self.size] & 0x7FFF_FFFF
                state[i] = state[(i + 397) % Self.size] ^ y >> 1 ^ (y & 1 == 1 ? 0x9908_B0DF : 0)
            }
            next = 0
        }
        var y = state[next]
        next += 1
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C_5680
        y ^= y << 15 & 0xEFC6_0000
        return y ^ y >> 18
    }

    /// 0 ... `limit`, by masking and rejecting.
    private mutating func integer(upTo limit: Int) -> Int {
        guard limit > 0 else { return 0 }
        let mask = UInt32.max >> UInt32(UInt32(limit).leadingZeroBitCount)
        while true {
            let value = Int(word() & mask)
            if value <= limit { return value }
        }
    }

    /// `RandomState.permutation(count)`; `choice(count, k, replace=False)` is its first k.
    mutating func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, integer(upTo: i)) }
        return order
    }
}
