import Contracts
import Foundation
import Hummingbird
import Messaging
import Store
import Telemetry

/// What operators and their tools ask.
struct StatusRoutes: Sendable {
    let database: Database
    let broker: Broker
    let counters: BrokerCounters?
    let registry: PrometheusRegistry

    var routes: [Route] {
        [
            Route(.get, "/v1/status") { _, _ in try await .json(status()) },
            Route(.get, "/healthz") { _, _ in .text("ok\n") },
            Route(.get, "/readyz") { _, _ in await ready() },
            Route(.get, "/metrics") { _, _ in .text(registry.render(), type: PrometheusRegistry.contentType) },
        ]
    }

    private func status() async throws -> StatusView {
        async let stages = database.stageStatus()
        async let workers = database.workers()
        async let counts = counters?.byQueue() ?? [:]
        let byStage = Dictionary(
            try await stages.map { ($0.stage, $0) }, uniquingKeysWith: { first, _ in first })
        var queues: [QueueView] = []
        for queue in broker.topology.queues {
            let stage = Stage.allCases.first { broker.topology.queue(for: $0) == queue.name }
            let known = stage.flatMap { byStage[$0] }
            let depth = await depth(of: queue.name)
            let count = await counts[queue.name]
            queues.append(
                QueueView(
                    name: queue.name, stage: stage, depth: depth?.messages, consumers: depth?.consumers,
                    published: count?.published, delivered: count?.delivered, acknowledged: count?.acknowledged,
                    oldestSeconds: known?.oldestQueued, running: known?.running ?? 0,
                    perMinute: known?.donePerMinute ?? 0))
        }
        return StatusView(queues: queues, workers: try await workers)
    }

    /// nil while the broker cannot be asked: the rest of the answer is worth having without it.
    private func depth(of queue: String) async -> QueueStatus? {
        do { return try await broker.status(of: queue) } catch { return nil }
    }

    /// 200 when both servers answer, else 503 with a line for each.
    private func ready() async -> Response {
        async let postgres = problem { try await database.ping() }
        async let rabbitmq = problem { try await broker.ready(within: .seconds(1)) }
        let problems = await (postgres: postgres, rabbitmq: rabbitmq)
        let isReady = problems.postgres == nil && problems.rabbitmq == nil
        return .text(
            "postgres \(problems.postgres ?? "ok")\nrabbitmq \(problems.rabbitmq ?? "ok")\n",
            status: isReady ? .ok : .serviceUnavailable)
    }

    private func problem(_ check: @Sendable () async throws -> Void) async -> String? {
        do {
            try await check()
            return nil
        } catch { return "\(error)" }
    }
}
