import Dispatch
import Synchronization
import TensorEngine
import Testing

/// What has its places in an arena is computed like anything else, and nothing that is alive is written over.
@Suite struct ActivationArenaTests {
    private let x = random([1, 16, 16, 32], 1)
    private let filter = ConvolutionFilter(weight: random([32, 32, 3, 3], 2), bias: nil, padding: .init(1))
    private let weight = random([48, 32], 3)

    /// A block with a skip connection; sizes repeat, lives overlap.
    private func block(_ x: Tensor) -> Tensor {
        let first = x.convolved(filter).activated(.silu)
        let second = first.convolved(filter) + x
        let tokens = second.reshaped([1, 256, 32])
        let attended = tokens.attention(keys: tokens, values: tokens, heads: 4) + tokens
        return (attended + first.reshaped([1, 256, 32])).linear(weight)
    }

    @Test func resultsAreTheSameAndNothingButTheResultIsAllocatedTheSecondTime() {
        let wanted = block(x).scalars
        let arena = ActivationArena()
        #expect(arena { block(x) }.scalars == wanted)
        let first = arena.tensorsOutside
        #expect(first > 5)
        #expect(arena.bytes > 0)
        for _ in 0..<3 {
            #expect(arena { block(x) }.scalars == wanted)
            #expect(arena.tensorsOutside == 1)
        }
    }

    @Test func itIsSmallerThanAllThatIsMade() {
        let arena = ActivationArena()
        _ = arena { (0..<50).reduce(x) { y, _ in y.activated(.silu) } }
        // Two at a time are needed, of fifty.
        #expect(arena.bytes < 3 * x.count * 4)
    }

    @Test func resultsThatAreKeptStayAsTheyAre() {
        let arena = ActivationArena()
        let inputs = (0..<6).map { random([1, 16, 16, 32], UInt64(10 + $0)) }
        let results = inputs.map { input in arena { block(input) } }
        for (input, result) in zip(inputs, results) { #expect(result.scalars == block(input).scalars) }
    }

    /// From the second time on more outlives the computation than was planned.
    @Test func whatLivesLongerThanPlannedIsNotWrittenOver() {
        let arena = ActivationArena()
        var kept: [Tensor] = []
        func run(_ seed: UInt64, keeping: Bool) -> Tensor {
            arena {
                let inner = random([1, 16, 16, 32], seed).activated(.silu)
                if keeping { kept.append(inner) }
                return block(inner)
            }
        }
        _ = run(20, keeping: false)
        let results = (21..<26).map { run(UInt64($0), keeping: true) }
        for (i, (inner, result)) in zip(kept, results).enumerated() {
            let wanted = random([1, 16, 16, 32], UInt64(21 + i)).activated(.silu)
            #expect(inner.scalars == wanted.scalars)
            #expect(result.scalars == block(wanted).scalars)
        }
    }

    @Test func anotherComputationUnderTheSameKeyIsRightAndPlannedAnew() {
        let arena = ActivationArena()
        _ = arena { block(x) }
        let small = random([1, 8, 8, 32], 5)
        func other() -> Tensor { small.activated(.gelu).convolved(filter) + small }
        for _ in 0..<3 { #expect(arena { other() }.scalars == other().scalars) }
        #expect(arena.tensorsOutside == 1)
        for _ in 0..<3 { #expect(arena { block(x) }.scalars == block(x).scalars) }
        #expect(arena.tensorsOutside == 1)
    }

    @Test func computationsOfSeveralKeysShareTheBlock() {
        let arena = ActivationArena()
        let small = random([1, 8, 8, 32], 6)
        func other() -> Tensor { small.activated(.gelu).convolved(filter) + small }
        for _ in 0..<2 {
            #expect(arena([1]) { block(x) }.scalars == block(x).scalars)
            #expect(arena([2]) { other() }.scalars == other().scalars)
        }
        let bytes = arena.bytes
        #expect(arena([1]) { block(x) }.scalars == block(x).scalars)
        #expect(arena.bytes == bytes)
        #expect(arena.tensorsOutside == 1)
    }

    @Test func whatIsNotUsedAnyMoreIsForgottenAndTheBlockShrinks() {
        let arena = ActivationArena()
        let small = random([1, 8, 8, 32], 6)
        _ = arena([1]) { block(x) }
        let large = arena.bytes
        for _ in 0..<ActivationArena.memory { _ = arena([2]) { small.activated(.gelu).activated(.silu) } }
        #expect(arena.bytes < large / 4)
        #expect(arena([1]) { block(x) }.scalars == block(x).scalars)
        #expect(arena.bytes == large)
    }

    @Test func computationsInsideOneAnotherAndAtOnceAreRight() {
        let arena = ActivationArena()
        for _ in 0..<3 {
            let nested = arena { block(arena([1]) { x.activated(.silu) }) }
            #expect(nested.scalars == block(x.activated(.silu)).scalars)
        }
        let inputs = (0..<8).map { random([1, 16, 16, 32], UInt64(30 + $0)) }
        let wanted = inputs.map { block($0).scalars }
        let right = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: 8) { i in
            let same = arena([7]) { block(inputs[i]) }.scalars == wanted[i]
            right.withLock { $0 += same ? 1 : 0 }
        }
        #expect(right.withLock { $0 } == 8)
    }

    @Test func anErrorLeavesTheArenaUsable() {
        struct Stopped: Error {}
        let arena = ActivationArena()
        _ = arena { block(x) }
        #expect(throws: Stopped.self) {
            try arena {
                _ = x.convolved(filter)
                throw Stopped()
            }
        }
        for _ in 0..<2 { #expect(arena { block(x) }.scalars == block(x).scalars) }
    }
}
