extension Tensor {
    /// Whether no number is NaN or infinite. Reads memory once and takes none.
    public var isFinite: Bool {
        withUnsafeBuffer { numbers in
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
