import Foundation
import Logging
import Messaging
import Metrics
public import ServiceLifecycle
import Store
import Telemetry

/// Publishes what committed transactions owe to the broker, with confirms, and deletes what was confirmed.
///
/// It wakes when the outbox is notified, when a delayed message falls due, and every two seconds in any case. Several may
/// run at once. Broker or database being away only delays it.
public struct OutboxRelay: Service {
    private let resources: Resources

    /// A relay between this process's database and broker.
    public init(_ resources: Resources) { self.resources = resources }

    /// Runs until graceful shutdown.
    public func run() async throws {
        let (ticks, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask {
                    for await _ in resources.database.listen(channel: Database.outboxChannel) { continuation.yield() }
                }
                group.addTask {
                    while !Task.isCancelled {
                        try? await Task.sleep(for: await nextDelay())
                        continuation.yield()
                    }
                }
                group.addTask {
                    for await _ in ticks { await relay() }
                }
            }
        }
    }

    private func nextDelay() async -> Duration {
        let next = try? await resources.database.nextOutboxDelay()
        return max(.milliseconds(50), min(next ?? .seconds(2), .seconds(2)))
    }

    private func relay() async {
        do {
            while try await resources.database.relayOutbox(publish: publish) > 0 {}
        } catch is CancellationError {
            // Shutting down: what was not confirmed stays in the outbox.
        } catch {
            resources.logger.warning("relay: trying again shortly", metadata: ["error": "\(error)"])
        }
    }

    /// Publishes all at once and answers which of them the broker confirmed.
    private func publish(_ messages: [OutboxMessage]) async -> Set<Int64> {
        let broker = resources.broker
        let results = await withTaskGroup(of: (Int64, (any Error)?).self) { group in
            for message in messages {
                group.addTask {
                    do {
                        try await broker.publish(
                            message.body, routingKey: message.routingKey, messageID: message.messageID.uuidString)
                        return (message.id, nil)
                    } catch {
                        return (message.id, error)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        if let error = results.compactMap({ $0.1 }).first {
            resources.logger.warning(
                "not all messages were confirmed; they stay in the outbox", metadata: ["error": "\(error)"])
        }
        let confirmed = Set(results.filter { $0.1 == nil }.map(\.0))
        Counter(label: Instrument.outboxPublished).increment(by: confirmed.count)
        return confirmed
    }
}
