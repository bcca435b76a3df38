import Synchronization

/// Counts the arithmetic and time of operations while a benchmark asks for it; costs one atomic load otherwise.
public enum Profile {
    /// What an operation is, in a benchmark's table.
    public enum Kind: String, Sendable, CaseIterable {
        case convolution, linear, attention, normalization, elementwise, layout
    }

    /// Totals of one kind.
    public struct Total: Sendable {
        /// Multiplications and additions.
        public var flops = 0.0
        public var seconds = 0.0
        public var calls = 0
    }

    private static let isOn = Atomic(false)
    private static let totals = Mutex<[Kind: Total]>([:])

    /// Runs `body` and says what its operations, on any thread, added up to.
    public static func of<R>(_ body: () throws -> R) rethrows -> (result: R, totals: [Kind: Total]) {
        totals.withLock { $0 = [:] }
        isOn.store(true, ordering: .relaxed)
        defer { isOn.store(false, ordering: .relaxed) }
        let result = try body()
        return (result, totals.withLock { $0 })
    }

    static func measure<R>(_ kind: Kind, flops: @autoclosure () -> Double = 0, _ body: () throws -> R) rethrows -> R {
        guard isOn.load(ordering: .relaxed) else { return try body() }
        let start = ContinuousClock.now
        let result = try body()
        let took = start.duration(to: .now) / .seconds(1)
        let work = flops()
        totals.withLock {
            $0[kind, default: Total()].flops += work
            $0[kind, default: Total()].seconds += took
            $0[kind, default: Total()].calls += 1
        }
        return result
    }
}
