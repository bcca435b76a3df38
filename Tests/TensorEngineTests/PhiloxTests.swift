import Foundation
import TensorEngine
import Testing

@Suite struct PhiloxTests {
    /// Known answers of Random123's kat_vectors for philox4x32 with 10 rounds.
    @Test func knownAnswers() {
        let zero = Philox(seed: 0).block(0)
        #expect(zero == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
        let ones = Philox(seed: .max, stream: .max).block(.max)
        #expect(ones == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
        let digitsOfPi = Philox(seed: 0x299f_31d0_a409_3822, stream: 0x0370_7344_1319_8a2e).block(0x85a3_08d3_243f_6a88)
        #expect(digitsOfPi == (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
    }

    @Test func aLongerDrawBeginsWithTheShorterOne() {
        let long = Philox(seed: 5).normal(1001)
        for count in [1, 2, 3, 4, 5, 999] { #expect(Philox(seed: 5).normal(count) == Array(long.prefix(count))) }
        #expect(Philox(seed: 6).normal(4) != Array(long.prefix(4)))
        #expect(Philox(seed: 5, stream: 1).normal(4) != Array(long.prefix(4)))
    }

    @Test func normalNumbersAreNormal() {
        let x = Philox(seed: 1).normal(200_000).map(Double.init)
        let mean = x.reduce(0, +) / Double(x.count)
        let moments = (2...4).map { power in x.reduce(0) { $0 + pow($1 - mean, Double(power)) } / Double(x.count) }
        #expect(abs(mean) < 0.01)
        #expect(abs(moments[0] - 1) < 0.02)
        #expect(abs(moments[1]) < 0.05)
        #expect(abs(moments[2] - 3) < 0.1)
    }

    @Test func integersStayBelowTheirBound() {
        let random = Philox(seed: 3)
        let drawn = (0..<3000).map { random.integer($0, below: 7) }
        #expect(Set(drawn) == Set(0..<7))
        #expect(Philox(seed: 3).uniform(1000).allSatisfy { $0 >= 0 && $0 < 1 })
    }
}
