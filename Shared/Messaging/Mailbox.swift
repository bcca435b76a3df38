import CRabbitMQ
import Foundation
import Synchronization

/// What tasks ask of the connection's thread.
enum Command: Sendable {
    typealias Reply<Value> = CheckedContinuation<Value, any Error>

    /// Answer once connected, or with the reason why not when the time is over.
    case awaitReady(deadline: ContinuousClock.Instant, Reply<Void>)
    case publish(OutgoingMessage, id: UInt64, Reply<Void>)
    /// The publishing task was cancelled: answer it now, whatever becomes of the message.
    case forget(id: UInt64)
    case subscribe(Subscription)
    case stop(Subscription, CheckedContinuation<Void, Never>)
    case abandon(Subscription)
    case settle(DeliveryTag, Verdict, CheckedContinuation<Settlement, Never>)
    case status(queue: String, Reply<QueueStatus>)
    case close(CheckedContinuation<Void, Never>)
}

/// The way into the connection's thread: a list of commands and an eventfd(2) that wakes the thread's poll(2).
final class Mailbox: Sendable {
    private struct State {
        var commands: [Command] = []
        var isClosed = false
    }

    /// Readable while commands wait.
    let wakeUp: Int32
    private let state = Mutex(State())

    init() {
        wakeUp = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        precondition(wakeUp >= 0, "eventfd: \(String(cString: strerror(errno)))")
    }

    deinit { Foundation.close(wakeUp) }

    /// Leaves a command; false when the thread has ended and nobody will read it.
    @discardableResult
    func post(_ command: Command) -> Bool {
        state.withLock { state in
            guard !state.isClosed else { return false }
            state.commands.append(command)
            var one: UInt64 = 1
            write(wakeUp, &one, 8)  // fails only when the counter is full, and then it is readable anyway
            return true
        }
    }

    /// Takes all commands, in the order they came.
    func take() -> [Command] {
        state.withLock { state in
            var count: UInt64 = 0
            read(wakeUp, &count, 8)  // resets it; fails when nothing was posted
            defer { state.commands = [] }
            return state.commands
        }
    }

    /// Refuses commands from now on and returns those left.
    func close() -> [Command] {
        state.withLock { state in
            defer { (state.commands, state.isClosed) = ([], true) }
            return state.commands
        }
    }
}
