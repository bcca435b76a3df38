public import Contracts
import Foundation

/// What brings a task back to its queue without anything being wrong with the task.
extension Database {
    /// Gives a claim back: the worker shuts down. The task keeps its place in the queue, and the attempt does not count.
    public func giveBack(_ claim: Claim) async throws {
        try await transaction { transaction in
            // The count of attempts fences off old claims, so it never falls; the limit rises instead.
            let held = try await transaction.query(
                """
                UPDATE tasks SET state = 'queued', worker = NULL, lease_until = NULL, max_attempts = max_attempts + 1
                WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running' RETURNING id
                """, claim.task, claim.worker, claim.attempt)
            if held.isEmpty { return }
            try await transaction.enqueue(TaskMessage(task: claim.task, job: claim.job, stage: claim.stage))
        }
    }

    /// Puts tasks whose worker went silent back in their queues, or fails those with no attempts left.
    ///
    /// - Returns: how many there were
    public func requeueExpired(limit: Int = 100) async throws -> Int {
        try await transaction { transaction in
            let rows = try await transaction.query(
                """
                SELECT id, job_id, stage, worker, attempt, max_attempts FROM tasks
                WHERE state = 'running' AND lease_until < now() ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
                """, limit)
            for row in rows {
                let (task, job): (UUID, UUID) = (try row.get("id"), try row.get("job_id"))
                let error = "worker \(try row.getOptional("worker", as: String.self) ?? "?") went silent"
                if try row.get("attempt", as: Int.self) >= row.get("max_attempts") {
                    try await transaction.giveUp(task, job: job, attempts: try row.get("attempt"), last: error)
                } else {
                    try await transaction.requeue(task, error: error)
                    try await transaction.enqueue(TaskMessage(task: task, job: job, stage: try row.get(raw: "stage")))
                }
            }
            return rows.count
        }
    }

    /// Stages with tasks that have been queued for longer than `age` although nothing is owed to the broker for them.
    public func stagesWaiting(longerThan age: Duration) async throws -> [Stage] {
        try await query(
            """
            SELECT DISTINCT stage FROM tasks
            WHERE state = 'queued' AND queued_at < now() - $1::float8 * interval '1 second'
              AND NOT EXISTS (SELECT FROM outbox WHERE routing_key = stage AND available_at <= now())
            """, age / .seconds(1)
        ).map { try $0.get(raw: "stage") }
    }

    /// Sends the messages of a stage's queued tasks again, the oldest first, for a broker that has none of them any more:
    /// its data was lost, the queue purged, or the messages were delivered too often while Postgres was away. Should one
    /// of them be on its way after all, it comes twice, which does no harm.
    ///
    /// - Returns: how many there were
    public func resendQueued(_ stage: Stage, olderThan age: Duration, limit: Int = 1000) async throws -> Int {
        try await transaction { transaction in
            let rows = try await transaction.query(
                """
                SELECT id, job_id FROM tasks
                WHERE stage = $1 AND state = 'queued' AND queued_at < now() - $2::float8 * interval '1 second'
                ORDER BY queued_at, position LIMIT $3
                """, stage.rawValue, age / .seconds(1), limit)
            for row in rows {
                try await transaction.enqueue(
                    TaskMessage(task: try row.get("id"), job: try row.get("job_id"), stage: stage))
            }
            return rows.count
        }
    }
}
