public import Foundation
import Logging
public import ServiceLifecycle
import Store
import Synchronization

/// This process in the `workers` table: that it lives, and what it does.
public final class Presence: Service, Sendable {
    /// The process's name: unique, and another one after every start.
    public let name: String
    private let service: String
    private let database: Database
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var activities: [UUID: String] = [:]
        var done = 0
        var loaded: [String] = []
    }

    init(service: String, name: String?, database: Database, logger: Logger) {
        let host = ProcessInfo.processInfo.hostName
        let pid = ProcessInfo.processInfo.processIdentifier
        self.name = name ?? "\(service)-\(host)-\(pid)-\(UUID().uuidString.prefix(8).lowercased())"
        (self.service, self.database, self.logger) = (service, database, logger)
    }

    /// Says what is being done for a task.
    public func isWorking(on task: UUID, _ activity: String) {
        state.withLock { $0.activities[task] = activity }
    }

    /// Says whose weights are loaded, by object key: their pictures come here first.
    public func hasLoaded(_ keys: [String]) { state.withLock { $0.loaded = keys } }

    /// See ``hasLoaded(_:)``.
    var loaded: [String] { state.withLock { $0.loaded } }

    /// A task ended, well or badly.
    func ended(_ task: UUID, done: Bool) {
        state.withLock {
            $0.activities[task] = nil
            if done { $0.done += 1 }
        }
    }

    /// Writes the row every five seconds, and a last time when the service stops.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await self.write(stopped: false)
                try? await Task.sleep(for: .seconds(5))
            }
        }
        await write(stopped: true)
    }

    private func write(stopped: Bool) async {
        let (activities, done, loaded) = state.withLock { ($0.activities.values.sorted(), $0.done, $0.loaded) }
        do {
            try await database.heartbeat(
                worker: name, service: service, host: ProcessInfo.processInfo.hostName,
                pid: Int(ProcessInfo.processInfo.processIdentifier),
                state: stopped ? "stopped" : activities.isEmpty ? "idle" : "working",
                activity: activities.isEmpty ? nil : activities.joined(separator: "; "), tasksDone: done,
                loaded: loaded)
        } catch {
            logger.warning("could not say that this worker lives", metadata: ["error": "\(error)"])
        }
    }
}
