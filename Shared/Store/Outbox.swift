internal import Contracts
public import Foundation

/// A message that a committed transaction owes to the broker.
public struct OutboxMessage: Sendable {
    /// Order of insertion.
    public let id: Int64
    /// The queue's stage.
    public let routingKey: String
    public let messageID: UUID
    /// A ``Contracts/TaskMessage`` as JSON.
    public let body: Data
}

extension Database {
    /// Name of the channel that is notified when the outbox has something.
    public static let outboxChannel = "likeness_outbox"

    /// Publishes what is due and deletes what was confirmed. Several relays may run at once: each takes rows that no
    /// other has. If `publish` throws, or the process dies, the rows stay.
    ///
    /// - Parameter publish: answers the ids that the broker has confirmed
    /// - Returns: how many were confirmed
    public func relayOutbox(
        limit: Int = 200, publish: @Sendable ([OutboxMessage]) async throws -> Set<Int64>
    ) async throws -> Int {
        try await transaction { transaction in
            let rows = try await transaction.query(
                """
                SELECT id, routing_key, message_id, body FROM outbox WHERE available_at <= now()
                ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
                """, limit)
            if rows.isEmpty { return 0 }
            let messages = try rows.map {
                OutboxMessage(
                    id: try $0.get("id"), routingKey: try $0.get("routing_key"), messageID: try $0.get("message_id"),
                    body: try $0.get("body"))
            }
            let confirmed = try await publish(messages)
            try await transaction.query("DELETE FROM outbox WHERE id = ANY($1::bigint[])", Array(confirmed))
            return confirmed.count
        }
    }

    /// How long until the next message is due; nil while there is none.
    public func nextOutboxDelay() async throws -> Duration? {
        let rows = try await query("SELECT extract(epoch FROM min(available_at) - now()) AS delay FROM outbox")
        guard let seconds = try rows.first?.getOptional("delay", as: Double.self) else { return nil }
        return .seconds(max(seconds, 0))
    }
}

extension Transaction {
    /// Owes the broker a message, `after` some time, once this transaction has committed.
    func enqueue(_ message: TaskMessage, after: Duration = .zero) async throws {
        try await query(
            """
            INSERT INTO outbox (routing_key, message_id, body, available_at)
            VALUES ($1, $2, $3::jsonb, now() + $4::float8 * interval '1 second')
            """,
            message.stage.rawValue, UUID(), try JSONEncoder.likeness.encode(message), after / .seconds(1))
        // Postgres sends equal notifications of one transaction once, when it commits.
        try await query("SELECT pg_notify($1, '')", Database.outboxChannel)
    }
}
