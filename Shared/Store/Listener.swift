internal import CPostgres
import Foundation
import Synchronization

/// LISTENs to one channel on a connection and thread of its own, and comes back after every loss of the connection.
///
/// It yields once on every (re)connect too: whatever was notified in between is not known.
final class Listener: Sendable {
    private let isStopped = Atomic(false)

    func start(_ settings: String, channel: String, _ continuation: AsyncStream<Void>.Continuation) {
        let thread = Thread { [self] in
            while !isStopped.load(ordering: .acquiring) {
                listen(settings, channel, continuation)
                if !isStopped.load(ordering: .acquiring) { Thread.sleep(forTimeInterval: 1) }
            }
            continuation.finish()
        }
        thread.name = "postgres listen"
        thread.start()
    }

    func stop() { isStopped.store(true, ordering: .releasing) }

    private func listen(_ settings: String, _ channel: String, _ continuation: AsyncStream<Void>.Continuation) {
        let handle = PQconnectdb(settings)
        defer { PQfinish(handle) }
        guard PQstatus(handle) == CONNECTION_OK else { return }
        let answer = PQexec(handle, "LISTEN \(channel)")
        let isListening = PQresultStatus(answer) == PGRES_COMMAND_OK
        PQclear(answer)
        guard isListening else { return }
        continuation.yield()
        while !isStopped.load(ordering: .acquiring) {
            var descriptor = pollfd(fd: PQsocket(handle), events: Int16(POLLIN), revents: 0)
            guard poll(&descriptor, 1, 500) >= 0 || errno == EINTR else { return }
            guard PQconsumeInput(handle) == 1 else { return }
            while let notification = PQnotifies(handle) {
                PQfreemem(notification)
                continuation.yield()
            }
        }
    }
}
