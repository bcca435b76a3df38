import Logging
import Messaging
import Metrics
public import ServiceLifecycle
import Store
import Telemetry

/// Queues tasks again whose worker went silent, and sends messages again that the broker has lost.
public struct TaskSweeper: Service {
    private let resources: Resources
    /// How long a task is queued, and the broker's queue empty, before its message counts as lost.
    private static let messagePatience = Duration.seconds(120)

    /// A sweeper of this process's database and broker.
    public init(_ resources: Resources) { self.resources = resources }

    /// Looks every few seconds until graceful shutdown.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await requeueExpired()
                    try await resendLost()
                } catch is CancellationError {
                    return
                } catch {
                    resources.logger.warning("sweeper: trying again", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: min(.seconds(5), resources.settings.lease / 2))
            }
        }
    }

    private func requeueExpired() async throws {
        let count = try await resources.database.requeueExpired()
        guard count > 0 else { return }
        resources.logger.warning("queued \(count) tasks again whose workers went silent")
        Counter(label: Instrument.leasesExpired).increment(by: count)
    }

    /// A queue that still has messages is worked on and gets to every task; one that is empty while tasks wait is not.
    private func resendLost() async throws {
        for stage in try await resources.database.stagesWaiting(longerThan: Self.messagePatience) {
            let queue = resources.broker.topology.queue(for: stage)
            guard try await resources.broker.status(of: queue).messages == 0 else { continue }
            let count = try await resources.database.resendQueued(stage, olderThan: Self.messagePatience)
            resources.logger.warning("\(queue) was empty while \(count) tasks waited: sent their messages again")
        }
    }
}
