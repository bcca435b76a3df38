public import Foundation
public import Logging
public import ServiceLifecycle
import Synchronization

/// RabbitMQ, for tasks of Swift concurrency: publish with confirms, consume with manual settling.
///
/// One connection on a thread of its own, which reconnects by itself with growing, jittered pauses, declares the topology
/// each time, and subscribes again. Publishing and each subscription have channels of their own.
///
/// Delivery is at least once both ways: a publish that fails with ``BrokerError/unconfirmed(reason:)`` may have arrived,
/// and a delivery may come again. Whoever publishes keeps the message until it is confirmed (the outbox); whoever
/// consumes makes work idempotent (the claim in Postgres).
public final class Broker: Service, Sendable {
    /// What a connection needs to know.
    public struct Options: Sendable {
        /// Where and as whom.
        public var address: BrokerAddress
        /// What to declare.
        public var topology: Topology
        /// The connection's name in RabbitMQ's listings.
        public var name: String
        /// The interval to propose; two without a sign of life end the connection. Whole seconds.
        public var heartbeat: Duration
        /// Where to log.
        public var logger: Logger

        /// Collects the options.
        public init(
            address: BrokerAddress, topology: Topology = .likeness, name: String, heartbeat: Duration = .seconds(10),
            logger: Logger
        ) {
            (self.address, self.topology, self.name) = (address, topology, name)
            (self.heartbeat, self.logger) = (heartbeat, logger)
        }
    }

    /// What is declared at the broker.
    public let topology: Topology
    private let mailbox = Mailbox()
    private let lastPublication = Atomic<UInt64>(0)

    /// Starts to connect, and goes on trying until closed.
    public init(_ options: Options) {
        topology = options.topology
        let mailbox = mailbox
        let thread = Thread { ConnectionLoop(options, mailbox: mailbox).run() }
        thread.name = "rabbitmq"
        thread.start()
    }

    /// Returns once connected.
    /// - Throws: ``BrokerError/unreachable(address:reason:)`` when that takes longer than the limit.
    public func ready(within limit: Duration) async throws {
        try await ask { .awaitReady(deadline: .now + limit, $0) }
    }

    /// Publishes a persistent message and returns when the broker has confirmed it: a queue has it, safely stored.
    ///
    /// Any number of publishes may be on their way at once; a batch costs hardly more than one message.
    /// - Throws: ``BrokerError``, of which those with ``BrokerError/isRetryable`` are worth another try;
    ///   `CancellationError` when the task was cancelled, which leaves open whether the message arrived.
    public func publish(_ message: OutgoingMessage) async throws {
        try Task.checkCancellation()
        let id = lastPublication.add(1, ordering: .relaxed).newValue
        try await withTaskCancellationHandler {
            try await ask { .publish(message, id: id, $0) }
        } onCancel: {
            mailbox.post(.forget(id: id))
        }
    }

    /// Publishes to the topology's exchange for tasks; see ``publish(_:)``.
    public func publish(_ body: Data, routingKey: String, messageID: String) async throws {
        let exchange = topology.tasksExchange
        try await publish(
            OutgoingMessage(exchange: exchange, routingKey: routingKey, messageID: messageID, body: body))
    }

    /// Subscribes to a queue, for as long as the result is kept.
    /// - Parameters:
    ///   - queue: The queue's name.
    ///   - prefetch: How many deliveries the broker may have sent that are not yet settled.
    public func consume(_ queue: String, prefetch: UInt16) -> Deliveries {
        let subscription = Subscription(queue: queue, prefetch: prefetch)
        if !mailbox.post(.subscribe(subscription)) { subscription.buffer.finish() }
        return Deliveries(subscription, mailbox: mailbox)
    }

    /// Asks how many messages and consumers a queue has.
    /// - Throws: ``BrokerError/queueNotFound(_:)``, ``BrokerError/disconnected(reason:)``.
    public func status(of queue: String) async throws -> QueueStatus {
        try await ask { .status(queue: queue, $0) }
    }

    /// Waits a moment for confirms, gives back what is not settled, and closes the connection.
    public func close() async {
        await withCheckedContinuation { reply in
            if !mailbox.post(.close(reply)) { reply.resume() }
        }
    }

    /// Stays until the service group shuts down, then closes.
    public func run() async throws {
        do {
            try await gracefulShutdown()
        } catch is CancellationError {
            // A cancelled group wants the same, only sooner.
        }
        await close()
    }

    private func ask<Value: Sendable>(_ command: (Command.Reply<Value>) -> Command) async throws -> Value {
        try await withCheckedThrowingContinuation { reply in
            if !mailbox.post(command(reply)) { reply.resume(throwing: BrokerError.closed) }
        }
    }
}
