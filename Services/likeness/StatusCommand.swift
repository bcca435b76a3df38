import ArgumentParser
import Contracts
import Foundation

/// `likeness status`: queues and workers, live.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows each queue's depth, age, consumers and rate, and each worker.",
        discussion: "PUBLISHED, DELIVERED and ACKED are the broker's own counters since it started.")

    @Flag(help: "Show it again every second until interrupted.") var watch = false

    func run() async throws {
        let client = try GatewayClient()
        let isTerminal = isatty(STDOUT_FILENO) == 1
        let now: StatusView = try await client.get(["v1", "status"])
        print(Self.text(now))
        while watch {
            try await Task.sleep(for: .seconds(1))
            let status: StatusView = try await JobWatch(client: client).patiently {
                try await client.get(["v1", "status"])
            }
            // Home and clear: the table stays in place.
            if isTerminal { print("\u{1B}[H\u{1B}[2J", terminator: "") }
            print(Self.text(status))
        }
    }

    static func text(_ status: StatusView, now: Date = .now) -> String {
        let queues = status.queues.map { queue in
            let numbers = [queue.depth, queue.consumers, queue.running, queue.perMinute]
            let counters = [queue.published, queue.delivered, queue.acknowledged]
            return [queue.name] + numbers.map(text) + [age(queue.oldestSeconds)] + counters.map(text)
        }
        let workers = status.workers.filter { $0.state != "stopped" }.map { worker in
            [
                worker.service, worker.state, String(worker.tasksDone), age(now.timeIntervalSince(worker.seenAt)),
                worker.id, worker.activity ?? "",
            ]
        }
        let header = [
            "QUEUE", "READY", "CONSUMERS", "RUNNING", "DONE/MIN", "OLDEST", "PUBLISHED", "DELIVERED", "ACKED",
        ]
        return TextTable(header, queues, right: Set(1..<header.count)).text + "\n\n"
            + TextTable(["SERVICE", "STATE", "DONE", "SEEN", "WORKER", "ACTIVITY"], workers, right: [2, 3]).text
    }

    private static func text(_ number: Int?) -> String { number.map(String.init) ?? "–" }

    private static func age(_ seconds: Double?) -> String {
        guard let seconds else { return "–" }
        let whole = max(0, Int(seconds))
        return switch whole {
        case ..<60: "\(whole) s"
        case ..<3600: "\(whole / 60) min"
        default: "\(whole / 3600) h"
        }
    }
}
