import IPAdapter
import TensorEngine
import Testing

@Suite struct PhotoChoiceTests {
    @Test(arguments: [9, 10, 12, 200])
    func extrasAreDroppedWithoutRepeats(available: Int) {
        let chosen = PhotoChoice.indices(available: available, seed: 7)
        #expect(chosen.count == 9)
        #expect(Set(chosen).count == 9)
        #expect(chosen == chosen.sorted())
        #expect(chosen.allSatisfy { $0 < available })
        #expect(PhotoChoice.indices(available: available, seed: 7) == chosen)
    }

    @Test(arguments: 1...8)
    func fewerAreAllKeptAndBootstrapped(available: Int) {
        let chosen = PhotoChoice.indices(available: available, seed: 7)
        #expect(chosen.count == 9)
        #expect(Set(chosen) == Set(0..<available))
    }

    @Test func everyPhotoHasItsChance() {
        let counts = (0..<2000).reduce(into: [Int: Int]()) { counts, seed in
            for index in PhotoChoice.indices(available: 12, seed: UInt64(seed)) { counts[index, default: 0] += 1 }
        }
        // Each of 12 is kept with probability 3/4: 1500 of 2000, within five standard deviations.
        #expect((0..<12).allSatisfy { abs((counts[$0] ?? 0) - 1500) < 100 })
    }

    @Test func noPhotosGiveNone() { #expect(PhotoChoice.indices(available: 0, seed: 1).isEmpty) }

    @Test func selfAttentionIsNeededOnlyWhereItIs() {
        let x = Tensor([1, 5, 3, 2], shape: [1, 2, 2])
        for aggregation in Aggregation.allCases {
            if aggregation.needsSelfAttention {
                #expect(throws: (any Error).self) { try aggregation(x, nil) }
            } else {
                #expect(throws: Never.self) { try aggregation(x, nil) }
            }
        }
    }
}
