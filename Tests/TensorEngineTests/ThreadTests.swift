import TensorEngine
import Testing

@Suite(.serialized) struct ThreadTests {
    /// Pictures must have the same bytes on every worker, however many threads it has.
    @Test func resultsDoNotDependOnTheNumberOfThreads() {
        defer { Threads.use(0) }
        func results() -> [[Float]] { [Precision.f32, .bf16].flatMap { Precision.with($0, some) } }
        func some() -> [[Float]] {
            let x = random([1, 16, 16, 32], 1)
            let tokens = random([1, 300, 64], 2)
            let filter = ConvolutionFilter(weight: random([48, 32, 3, 3], 3), bias: nil, padding: .init(1))
            let wide = ConvolutionFilter(weight: random([200, 32, 3, 3], 7), bias: nil, padding: .init(1))
            let coarse = ConvolutionFilter(weight: random([48, 32, 3, 3], 3), bias: nil, stride: 2, padding: .init(1))
            let large = random([1, 70, 66, 32], 10)
            let norm = GroupNormalization(
                groups: 8, weight: random([32], 11), bias: random([32], 12), eps: 1e-5, silu: true)
            return [
                x.convolved(filter).scalars, x.convolved(wide).scalars, x.convolved(coarse).scalars,
                large.convolved(filter, after: norm).scalars, large.convolved(wide, upsampled: true).scalars,
                tokens.linear(random([96, 64], 4)).scalars,
                random([1, 2100, 64], 8).gatedLinear(random([700, 64], 9)).scalars,
                tokens.attention(keys: tokens, values: tokens, heads: 4).scalars,
                x.groupNormalized(.init(groups: 8, weight: random([32], 5), bias: random([32], 6), eps: 1e-5)).scalars,
                x.activated(.gelu).scalars,
            ]
        }
        Threads.use(1)
        let one = results()
        Threads.use(2)
        #expect(results() == one)
        Threads.use(5)
        #expect(results() == one)
    }
}
