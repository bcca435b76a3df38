import Synchronization

/// Hands deliveries from the connection's thread to waiting tasks. Never longer than the prefetch count, because the
/// broker sends no more than that unsettled.
///
/// Unlike an `AsyncStream` it can be emptied from the connection's side: of deliveries whose channel is gone, and of
/// those to be given back to the queue at the end.
final class DeliveryBuffer: Sendable {
    private struct State {
        var deliveries: [Delivery] = []
        var readers: [(id: UInt64, continuation: CheckedContinuation<Delivery?, Never>)] = []
        var lastReader: UInt64 = 0
        var cancelled: Set<UInt64> = []
        var isFinished = false
    }

    private let state = Mutex(State())

    /// Gives the delivery to the task that has waited longest, or keeps it for the next one.
    func append(_ delivery: Delivery) {
        let reader = state.withLock { state -> CheckedContinuation<Delivery?, Never>? in
            guard state.readers.isEmpty else { return state.readers.removeFirst().continuation }
            state.deliveries.append(delivery)
            return nil
        }
        reader?.resume(returning: delivery)
    }

    /// Whether a task waits for a delivery.
    var isAwaited: Bool { state.withLock { !$0.readers.isEmpty } }

    /// Removes and returns what no task has taken yet.
    @discardableResult
    func removeAll() -> [Delivery] {
        state.withLock { state in
            defer { state.deliveries = [] }
            return state.deliveries
        }
    }

    /// Ends the sequence for all readers, and returns what no task has taken yet.
    @discardableResult
    func finish() -> [Delivery] {
        let (readers, left) = state.withLock { state in
            defer { (state.readers, state.deliveries, state.isFinished) = ([], [], true) }
            return (state.readers, state.deliveries)
        }
        for reader in readers { reader.continuation.resume(returning: nil) }
        return left
    }

    /// Waits for a delivery; nil when finished or when the task is cancelled.
    func next() async -> Delivery? {
        let id = state.withLock { state in
            state.lastReader += 1
            return state.lastReader
        }
        // A cancellation that came while the answer was on its way leaves its mark; nobody needs it any more.
        defer { state.withLock { _ = $0.cancelled.remove(id) } }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Delivery?? in
                    if state.cancelled.contains(id) || state.isFinished { return .some(nil) }
                    if !state.deliveries.isEmpty { return state.deliveries.removeFirst() }
                    state.readers.append((id, continuation))
                    return .none
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let reader = state.withLock { state -> CheckedContinuation<Delivery?, Never>? in
                guard let index = state.readers.firstIndex(where: { $0.id == id }) else {
                    // Cancelled before it began to wait, or while it was being answered.
                    state.cancelled.insert(id)
                    return nil
                }
                return state.readers.remove(at: index).continuation
            }
            reader?.resume(returning: nil)
        }
    }
}
