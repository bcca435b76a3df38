import Foundation
public import Logging
public import ServiceLifecycle

/// Postgres: a few connections, each on its own thread, and transactions that outlast a restart of the server.
public final class Database: Service, Sendable {
    private let settings: String
    private let pool: ConnectionPool
    private let statementTimeout: Duration
    private let patience: Duration
    let logger: Logger

    /// - Parameters:
    ///   - url: `postgresql://user:password@host:port/database`
    ///   - connections: how many transactions can run at once
    ///   - statementTimeout: after which the server gives up a statement, or waiting for a lock
    ///   - patience: how long a transaction is tried again while the server cannot be reached
    public init(
        url: String, connections: Int = 4, statementTimeout: Duration = .seconds(30),
        patience: Duration = .seconds(120),
        logger: Logger
    ) {
        let separator = url.contains("?") ? "&" : "?"
        settings =
            url + separator
            + "connect_timeout=5&keepalives=1&keepalives_idle=10&keepalives_interval=5&keepalives_count=3"
            + "&tcp_user_timeout=20000&application_name=likeness&client_encoding=UTF8"
        pool = ConnectionPool(settings, size: connections)
        (self.statementTimeout, self.patience, self.logger) = (statementTimeout, patience, logger)
    }

    /// Waits for graceful shutdown, then closes the connections.
    public func run() async throws {
        try? await gracefulShutdown()
        await close()
    }

    /// Closes idle connections; those in use close when they are given back.
    public func close() async { await pool.close() }

    /// Fails unless the server answers now.
    public func ping() async throws {
        try await pool.withConnection { connection in
            try await connection.open(statementTimeout: self.statementTimeout)
            _ = try await connection.command("SELECT 1")
        }
    }

    /// Runs `body` in one transaction (READ COMMITTED).
    ///
    /// If the connection breaks, the server stops, or another transaction had to be given way to, the whole body is run
    /// again, until `patience` is used up. The connection may also break after the server has committed and before it
    /// said so: a body must therefore be safe to run once more after its own success, and all of Store's are.
    public func transaction<T: Sendable>(
        _ body: @Sendable (Transaction) async throws -> T
    ) async throws -> T {
        try await retrying { connection in
            try await connection.command("BEGIN")
            do {
                let result = try await body(Transaction(connection: connection))
                try await connection.command("COMMIT")
                return result
            } catch {
                await self.rollBack(connection)
                throw error
            }
        }
    }

    /// Runs one statement that is safe to run again.
    @discardableResult
    func query(_ sql: String, _ parameters: (any PostgresEncodable)...) async throws -> [Row] {
        let texts = parameters.map(\.postgresText)
        return try await retrying { try await $0.query(sql, texts) }
    }

    private func rollBack(_ connection: Connection) async {
        guard await connection.isOpen else { return }
        do {
            try await connection.command("ROLLBACK")
        } catch {
            logger.warning("rollback failed, dropping the connection", metadata: ["error": "\(error)"])
            await connection.close()
        }
    }

    private func retrying<T: Sendable>(
        _ attempt: @Sendable (Connection) async throws -> T
    ) async throws -> T {
        let deadline = ContinuousClock.now + patience
        var pause = Duration.milliseconds(50)
        while true {
            do {
                return try await pool.withConnection { connection in
                    try await connection.open(statementTimeout: self.statementTimeout)
                    return try await attempt(connection)
                }
            } catch let error as StoreError where error.isRetryable && ContinuousClock.now + pause < deadline {
                logger.debug("database not available, trying again", metadata: ["error": "\(error)"])
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(2))
            }
        }
    }

    /// Fires when `channel` is notified, and whenever the connection was (re)made.
    public func listen(channel: String) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let listener = Listener()
        continuation.onTermination = { _ in listener.stop() }
        listener.start(settings, channel: channel, continuation)
        return stream
    }
}

/// A transaction in progress.
public struct Transaction: Sendable {
    let connection: Connection

    /// Runs one statement with parameters `$1`, `$2`, ….
    @discardableResult
    public func query(_ sql: String, _ parameters: (any PostgresEncodable)...) async throws -> [Row] {
        try await connection.query(sql, parameters.map(\.postgresText))
    }
}

/// Hands out connections, as many at once as it has.
actor ConnectionPool {
    private var idle: [Connection]
    private var waiting: [(id: Int, continuation: CheckedContinuation<Connection?, Never>)] = []
    private var nextID = 0
    private var isClosed = false

    init(_ settings: String, size: Int) {
        idle = (0..<max(size, 1)).map { _ in Connection(settings) }
    }

    nonisolated func withConnection<T: Sendable>(
        _ body: @Sendable (Connection) async throws -> T
    ) async throws -> T {
        let connection = try await take()
        do {
            let result = try await body(connection)
            await giveBack(connection)
            return result
        } catch {
            await giveBack(connection)
            throw error
        }
    }

    func close() async {
        isClosed = true
        for connection in idle { await connection.close() }
    }

    private func take() async throws -> Connection {
        if let connection = idle.popLast() { return connection }
        let id = nextID
        nextID += 1
        let connection = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Connection?, Never>) in
                // Cancelled before it could wait: the handler found nothing to resume.
                if Task.isCancelled { continuation.resume(returning: nil) } else { waiting.append((id, continuation)) }
            }
        } onCancel: {
            Task { await self.stopWaiting(id) }
        }
        guard let connection else { throw CancellationError() }
        return connection
    }

    private func stopWaiting(_ id: Int) {
        guard let index = waiting.firstIndex(where: { $0.id == id }) else { return }
        waiting.remove(at: index).continuation.resume(returning: nil)
    }

    private func giveBack(_ connection: Connection) async {
        if isClosed { await connection.close() }
        if waiting.isEmpty {
            idle.append(connection)
        } else {
            waiting.removeFirst().continuation.resume(returning: connection)
        }
    }
}

extension Database {
    /// Runs a command that cannot be in a transaction, such as `CREATE DATABASE`; for set-up and tests.
    public func administer(_ sql: String) async throws {
        try await pool.withConnection { connection in
            try await connection.open(statementTimeout: self.statementTimeout)
            try await connection.command(sql)
        }
    }
}
