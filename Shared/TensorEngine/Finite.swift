extension Tensor {
    /// Whether no number is NaN or infinite. Reads memory once and takes none.
    public var isFinite: Bool {
        if let halves = storage.halves {
            // All bits of the exponent are set in infinity and NaN only.
            let exponent: UInt16 = halves.format == .f16 ? 0x7c00 : 0x7f80
            return withExtendedLifetime(storage) {
                let bytes = UnsafeRawBufferPointer(start: halves.base + offset, count: 2 * count)
                let step = MemoryLayout<SIMD32<UInt16>>.size
                let whole = bytes.count / step * step
                var bad = SIMDMask<SIMD32<Int16>>(repeating: false)
                for place in stride(from: 0, to: whole, by: step) {
                    let numbers = bytes.loadUnaligned(fromByteOffset: place, as: SIMD32<UInt16>.self)
                    bad .|= numbers & exponent .== exponent
                }
                let rest = UnsafeBufferPointer(start: halves.base + offset, count: count)[(whole / 2)...]
                return !any(bad) && !rest.contains { $0 & exponent == exponent }
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
