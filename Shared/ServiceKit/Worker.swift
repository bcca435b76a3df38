public import Contracts
import Foundation
import Logging
import Messaging
import Metrics
public import ServiceLifecycle
import Store
import Telemetry

/// The consumer loop of every stage: message → claim → handler → commit → ack.
///
/// Postgres decides who works on a task, the queue only says that there is work. A claim is a lease that is renewed
/// while the handler runs, so
/// - a message that comes twice finds the task taken or done, and is acknowledged with nothing lost: should the holder
///   die, ``TaskSweeper`` queues the task again when its lease runs out;
/// - RabbitMQ's consumer timeout (30 minutes for an unacknowledged delivery) does not limit how long a task may take:
///   if it fires, the broker delivers the message to another worker, which finds the task taken. It need not be raised,
///   which only the broker's operator could do, and for all queues at once;
/// - the message is acknowledged only after the commit. Whatever fails before leaves it with the broker.
public struct Worker<H: Handler>: Service {
    private let resources: Resources
    private let stage: Stage
    private let concurrency: Int
    private let prefersLoaded: Bool
    private let handler: H
    private let logger: Logger

    /// - Parameters:
    ///   - concurrency: tasks at once, which is also the prefetch: the broker sends no more than are worked on
    ///   - prefersLoaded: whether a message stands for any task of the stage, so that those come first whose weights
    ///     this process has loaded (``Presence/hasLoaded(_:)``)
    public init(
        _ resources: Resources, stage: Stage, concurrency: Int = 1, prefersLoaded: Bool = false, handler: H
    ) {
        (self.resources, self.stage, self.concurrency, self.handler) = (resources, stage, concurrency, handler)
        self.prefersLoaded = prefersLoaded
        var logger = resources.logger
        logger[metadataKey: "worker"] = "\(resources.presence.name)"
        self.logger = logger
    }

    /// How long what was begun may go on after graceful shutdown. What is not done by then is given back.
    private static var shutdownPatience: Duration { .seconds(15) }

    /// Consumes until graceful shutdown, then finishes what it has begun, or gives it back to the queue.
    public func run() async throws {
        let queue = resources.broker.topology.queue(for: stage)
        let deliveries = resources.broker.consume(queue, prefetch: UInt16(clamping: concurrency))
        logger.info("consuming \(queue), \(concurrency) at once")
        let work = Task {
            // As many readers as tasks at once: what the broker sends again over a new channel, while they are busy with
            // what came over the old one, is not claimed before one of them is free.
            await withDiscardingTaskGroup { group in
                for _ in 0..<concurrency {
                    group.addTask { for await delivery in deliveries { await process(delivery) } }
                }
            }
        }
        await withGracefulShutdownHandler {
            await withTaskCancellationHandler {
                await work.value
            } onCancel: {
                work.cancel()
            }
        } onGracefulShutdown: {
            Task {
                await deliveries.stop()
                try? await Task.sleep(for: Self.shutdownPatience)
                work.cancel()
            }
        }
    }

    private func process(_ delivery: Delivery) async {
        let message: TaskMessage
        do {
            message = try JSONDecoder.likeness.decode(TaskMessage.self, from: delivery.body)
            guard message.version == TaskMessage.currentVersion else {
                throw PermanentFailure("message version \(message.version) is unknown")
            }
        } catch {
            logger.error("not a task message, to the dead letters", metadata: ["error": "\(error)"])
            await delivery.reject()
            return
        }
        do {
            switch try await resources.database.claim(
                task: message.task, anyOf: prefersLoaded ? stage : nil, worker: resources.presence.name,
                lease: resources.settings.lease, loaded: resources.presence.loaded)
            {
            case .taken, .finished: break
            case .claimed(let claim): try await work(on: claim)
            }
            await delivery.ack()
        } catch {
            // The database was away for longer than its patience: another worker, or this one later, will do it.
            logger.error(
                "could not reach a decision, giving the message back",
                metadata: ["task": "\(message.task)", "error": "\(error)"])
            try? await Task.sleep(for: .seconds(2))
            await delivery.nack(requeue: true)
        }
    }

    /// Runs the handler under the lease and records its outcome; throws only if that cannot be recorded.
    private func work(on claim: Claim) async throws {
        let start = ContinuousClock.now
        var logger = logger
        logger[metadataKey: "task"] = "\(claim.task)"
        logger[metadataKey: "job"] = "\(claim.job)"
        resources.presence.isWorking(on: claim.task, "\(claim.stage.rawValue) \(claim.task)")
        let stage = ("stage", claim.stage.rawValue)
        let running = Meter(label: Instrument.tasksRunning, dimensions: [stage])
        running.increment()
        defer { running.decrement() }
        var outcome = "done"
        do {
            let completion = try await withLease(claim) { try await handler.handle(claim) }
            let result = try completion.result.map { try JSONEncoder.likeness.encode($0) }
            if try await !resources.database.complete(claim, result: result, effects: completion.effects) {
                throw LeaseLost()
            }
            completion.afterCommit()
        } catch is LeaseLost {
            outcome = "lost"
            Counter(label: Instrument.leasesLost, dimensions: [stage]).increment()
        } catch let error as PermanentFailure {
            outcome = "failed"
            logger.error("failed for good", metadata: ["error": "\(error)"])
            try await resources.database.fail(claim, error: error.description, retryAfter: nil)
        } catch let error as StoreError where error.isRetryable {
            resources.presence.ended(claim.task, done: false)
            throw error
        } catch  where Task.isCancelled {
            outcome = "given back"
            try await Task { try await resources.database.giveBack(claim) }.value  // in a task that is not cancelled
        } catch {
            let pause = Duration.seconds(min(60, 2 << min(claim.attempt - 1, 5)))
            let again = try await resources.database.fail(claim, error: "\(error)", retryAfter: pause)
            outcome = again ? "retried" : "failed"
            logger.warning("attempt \(claim.attempt) failed", metadata: ["error": "\(error)", "retry": "\(again)"])
        }
        resources.presence.ended(claim.task, done: outcome == "done")
        let seconds = start.duration(to: .now) / .seconds(1)
        Counter(label: Instrument.tasks, dimensions: [stage, ("outcome", outcome)]).increment()
        Recorder(label: Instrument.taskSeconds, dimensions: [stage]).record(seconds)
        logger.info("\(outcome)", metadata: ["seconds": "\((seconds * 1000).rounded() / 1000)"])
    }

    private struct LeaseLost: Error {}

    /// Runs `body` while renewing the lease; cancels it when the lease is lost or the job was cancelled.
    private func withLease<T: Sendable>(
        _ claim: Claim, _ body: @escaping @Sendable () async throws -> T
    ) async throws -> T {
        try await withThrowingTaskGroup(of: T?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await renew(claim)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let result = first else { throw LeaseLost() }
            return result
        }
    }

    /// Renews until the lease is lost. A database that is away for a while does not lose it: nobody else can take the
    /// task then either.
    private func renew(_ claim: Claim) async throws {
        while true {
            try await Task.sleep(for: resources.settings.lease / 3)
            if try await !resources.database.renew(claim, lease: resources.settings.lease) { return }
        }
    }
}
