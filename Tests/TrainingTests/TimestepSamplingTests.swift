import Testing
import Training

@Suite struct TimestepSamplingTests {
    /// (1 − u³) T has the mean 3/4 T, and lies above T/2 with probability 0.5^(1/3).
    @Test(arguments: [(TimestepSampling.uniform, 0.5, 0.5), (.cubic, 0.75, 0.794)])
    func cubicPrefersNoise(sampling: TimestepSampling, mean: Double, upperHalf: Double) {
        var random = BatchRandom(seed: 1, name: "steps", batch: 0)
        let steps = (0..<20_000).map { _ in sampling.draw(below: 1000, &random) }
        #expect(steps.allSatisfy { (0..<1000).contains($0) })
        #expect(abs(Double(steps.reduce(0, +)) / 20_000 / 1000 - mean) < 0.01)
        #expect(abs(Double(steps.filter { $0 >= 500 }.count) / 20_000 - upperHalf) < 0.015)
    }
}
