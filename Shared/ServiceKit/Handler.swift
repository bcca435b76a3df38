public import Contracts
public import Store

/// What a service does with one claimed task.
///
/// It may be run more than once for the same task, on this or another worker: what it makes is content-addressed, and
/// its rows are written only with the completion. It never settles the message or writes a task's state.
public protocol Handler: Sendable {
    /// Does the task.
    ///
    /// Throw ``PermanentFailure`` where no retry can help; any other error is tried again later. Long work checks
    /// `Task.isCancelled`, which becomes true when the lease is lost or the job was cancelled.
    func handle(_ claim: Claim) async throws -> Completion
}

/// What a handled task leaves behind, written in the transaction that completes it.
public struct Completion: Sendable {
    let result: TaskResult?
    let effects: @Sendable (Transaction) async throws -> Void
    let afterCommit: @Sendable () -> Void

    /// - Parameters:
    ///   - result: for the tasks that need this one
    ///   - effects: the rows that the work made; may be run again if the connection breaks
    ///   - afterCommit: removes what only a second attempt would have needed
    public init(
        _ result: TaskResult? = nil, effects: @escaping @Sendable (Transaction) async throws -> Void = { _ in },
        afterCommit: @escaping @Sendable () -> Void = {}
    ) {
        (self.result, self.effects, self.afterCommit) = (result, effects, afterCommit)
    }
}

/// The task cannot be done, now or later; the text is what the user reads.
public struct PermanentFailure: Error, CustomStringConvertible, Sendable {
    /// What is wrong and the remedy.
    public let description: String

    /// A failure with this text.
    public init(_ description: String) { self.description = description }
}
