extension Tensor {
    /// Whether no number is NaN or infinite. Reads memory once and takes none.
    public var isFinite: Bool {
        if let halves = storage.halves {
            // The exponent's bits are all set in infinity and NaN only; adding the lowest of them then carries into the
            // sign's place. Four numbers at a time.
            let (exponent, lowest): (UInt64, UInt64) = halves.format == .f16 ? (0x7c00, 0x400) : (0x7f80, 0x80)
            let (mask, carry) = (exponent * 0x0001_0001_0001_0001, lowest * 0x0001_0001_0001_0001)
            return withExtendedLifetime(storage) {
                let numbers = UnsafeBufferPointer(start: halves.base + offset, count: count)
                let bytes = UnsafeRawBufferPointer(numbers)
                let whole = bytes.count / 8 * 8
                var carried: UInt64 = 0
                for place in stride(from: 0, to: whole, by: 8) {
                    carried |= (bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self) & mask) &+ carry
                }
                for number in numbers[(whole / 2)...] { carried |= (UInt64(number) & exponent) &+ lowest }
                return carried & 0x8000_8000_8000_8000 == 0
            }
        }
        return withUnsafeBuffer { numbers in
            // 0 · x is 0 for every finite x and NaN for all others, and sums keep a NaN. Several sums run side by side.
            var sums = (SIMD16<Float>(), SIMD16<Float>(), SIMD16<Float>(), SIMD16<Float>())
            let bytes = UnsafeRawBufferPointer(numbers)
            let step = 4 * MemoryLayout<SIMD16<Float>>.size
            let whole = bytes.count / step * step
            for place in stride(from: 0, to: whole, by: step) {
                func part(_ i: Int) -> SIMD16<Float> {
                    bytes.loadUnaligned(fromByteOffset: place + i * step / 4, as: SIMD16<Float>.self)
                }
                sums.0 += 0 * part(0)
                sums.1 += 0 * part(1)
                sums.2 += 0 * part(2)
                sums.3 += 0 * part(3)
            }
            let sum = (sums.0 + sums.1 + sums.2 + sums.3).sum()
            let rest = numbers[(whole / MemoryLayout<Float>.size)...].reduce(Float(0)) { $0 + 0 * $1 }
            return sum + rest == 0
        }
    }
}
