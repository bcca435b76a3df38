import Store

/// A thread of its own for mathematics.
///
/// A pass through a full-size UNet takes seconds on all cores: on the cooperative pool it would starve lease renewals
/// and heartbeats, and each pool thread would get a team of OpenMP threads of its own. Cancellation reaches the work:
/// `Task.isCancelled` inside tells the caller's.
public actor Compute {
    private let executor = ThreadExecutor(name: "compute")
    /// The thread.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Starts the thread.
    public init() {}

    deinit { executor.stop() }

    /// Runs `work` on the thread and answers its result.
    public func callAsFunction<T: Sendable>(_ work: @Sendable () throws -> T) rethrows -> T { try work() }
}
