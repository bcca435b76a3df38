public import Contracts
public import Foundation

/// The right to work on a task, for as long as its lease is renewed.
public struct Claim: Sendable {
    public let task: UUID
    public let job: UUID
    public let stage: Stage
    public let payload: TaskPayload
    /// How many times the task was claimed, this time included. Fences off a worker that lost its lease.
    public let attempt: Int
    public let maxAttempts: Int
    public let worker: String
}

/// What came of trying to claim a task.
public enum ClaimOutcome: Sendable {
    /// The caller is to do it.
    case claimed(Claim)
    /// Another worker is doing it.
    case taken
    /// There is nothing to do: it has ended, is gone, or is not to be started yet.
    case finished
}

// Rows are locked FOR NO KEY UPDATE throughout: the foreign keys of inserted rows take KEY SHARE locks on jobs and tasks,
// and only this strength goes together with those. A plain FOR UPDATE deadlocks two completions of one job.

extension Database {
    /// Claims a task for `worker`. One that used up its attempts is failed for good instead.
    ///
    /// - Parameters:
    ///   - stage: given, `task` stands only for one task of this stage: see
    ///     ``Transaction/bestTask(of:worker:loaded:)``
    ///   - loaded: object keys of the weights that the worker has at hand
    public func claim(
        task asked: UUID, anyOf stage: Stage? = nil, worker: String, lease: Duration, loaded: [String] = []
    ) async throws -> ClaimOutcome {
        try await transaction { transaction in
            var task = asked
            if let stage {
                task = try await transaction.bestTask(of: stage, worker: worker, loaded: loaded) ?? asked
            }
            let claimed = try await transaction.query(
                """
                UPDATE tasks SET state = 'running', worker = $2, attempt = attempt + 1, started_at = now(),
                                 lease_until = now() + $3::float8 * interval '1 second'
                WHERE id = $1 AND attempt < max_attempts
                  AND (state = 'queued' OR state = 'running' AND lease_until < now())
                RETURNING job_id, stage, payload, attempt, max_attempts
                """,
                task, worker, lease / .seconds(1))
            if let row = claimed.first {
                let job: UUID = try row.get("job_id")
                try await transaction.query("UPDATE jobs SET state = 'running' WHERE id = $1 AND state = 'queued'", job)
                return .claimed(
                    Claim(
                        task: task, job: job, stage: try row.get(raw: "stage"),
                        payload: try row.get(json: "payload", .likeness), attempt: try row.get("attempt"),
                        maxAttempts: try row.get("max_attempts"), worker: worker))
            }
            let rows = try await transaction.query(
                """
                SELECT job_id, state, lease_until >= now() AS alive, attempt, error FROM tasks WHERE id = $1 FOR NO KEY UPDATE
                """, task)
            guard let row = rows.first else { return .finished }
            let state: TaskState = try row.get(raw: "state")
            if state == .running, try row.getOptional("alive") == true { return .taken }
            if state == .running || state == .queued {
                try await transaction.giveUp(
                    task, job: try row.get("job_id"), attempts: try row.get("attempt"),
                    last: try row.getOptional("error"))
            }
            return .finished
        }
    }

    /// Extends the lease. False: it was lost, or the job was cancelled; stop working.
    public func renew(_ claim: Claim, lease: Duration) async throws -> Bool {
        try await !query(
            """
            UPDATE tasks SET lease_until = now() + $4::float8 * interval '1 second'
            WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running' RETURNING id
            """,
            claim.task, claim.worker, claim.attempt, lease / .seconds(1)
        ).isEmpty
    }

    /// Ends a task well: its result, its effects, what can start now, and the job's end, in one transaction.
    ///
    /// - Parameters:
    ///   - result: JSON for the task's `result` column
    ///   - effects: the rows that the work made
    /// - Returns: false if the claim was lost; nothing is written then
    public func complete(
        _ claim: Claim, result: Data? = nil, effects: @Sendable (Transaction) async throws -> Void = { _ in }
    ) async throws -> Bool {
        try await transaction { transaction in
            let ended = try await transaction.query(
                """
                UPDATE tasks SET state = 'done', result = $4::jsonb, finished_at = now(), lease_until = NULL, error = NULL
                WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running' RETURNING id
                """,
                claim.task, claim.worker, claim.attempt, result)
            if ended.isEmpty {
                // Perhaps this very call committed and the connection broke before the answer came.
                return try await !transaction.query(
                    "SELECT id FROM tasks WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'done'",
                    claim.task, claim.worker, claim.attempt
                ).isEmpty
            }
            try await effects(transaction)
            try await transaction.release(dependentsOf: claim.task)
            try await transaction.finishJobIfOver(claim.job)
            return true
        }
    }

    /// Ends an attempt badly.
    ///
    /// - Parameter retryAfter: when to try again; nil, or no attempts left, fails the task for good, and with it what
    ///   needs it. Evaluation is different: it scores whatever pictures there are.
    /// - Returns: whether the task will be tried again
    @discardableResult
    public func fail(_ claim: Claim, error: String, retryAfter: Duration?) async throws -> Bool {
        try await transaction { transaction in
            let held = try await transaction.query(
                """
                SELECT id FROM tasks WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running' FOR NO KEY UPDATE
                """,
                claim.task, claim.worker, claim.attempt)
            if held.isEmpty { return false }
            if let retryAfter, claim.attempt < claim.maxAttempts {
                try await transaction.requeue(claim.task, error: error, after: retryAfter)
                try await transaction.enqueue(
                    TaskMessage(task: claim.task, job: claim.job, stage: claim.stage), after: retryAfter)
                return true
            }
            let text = retryAfter == nil ? error : "gave up after \(claim.attempt) attempts: \(error)"
            try await transaction.failForGood(claim.task, error: text)
            try await transaction.finishJobIfOver(claim.job)
            return false
        }
    }

    /// A finished task's `result` column.
    public func taskResult(_ task: UUID) async throws -> TaskResult? {
        let rows = try await query("SELECT result FROM tasks WHERE id = $1 AND result IS NOT NULL", task)
        return try rows.first?.get(json: "result", .likeness)
    }
}

extension Transaction {
    /// Of the oldest queued tasks of a stage, one whose weights the worker has loaded; else one whose weights no other
    /// living worker has; else the oldest. A task is overtaken only by those queued within two minutes of it, so that
    /// nobody waits forever.
    ///
    /// Every message then stands for some task of its stage. There are as many messages as queued tasks, and each takes
    /// one task out, so that none is left over, whichever order they are done in, and whichever are removed with their
    /// person: the stage is the message's, whose own task may be gone.
    func bestTask(of stage: Stage, worker: String, loaded: [String]) async throws -> UUID? {
        try await query(
            """
            WITH oldest AS (
                SELECT id FROM tasks
                WHERE stage = $1 AND state = 'queued' AND queued_at <= now()
                ORDER BY queued_at, position LIMIT 256),
            elsewhere AS (
                SELECT unnest(loaded) AS key FROM workers
                WHERE id <> $2 AND state <> 'stopped' AND seen_at > now() - interval '30 seconds')
            SELECT t.id FROM tasks t LEFT JOIN tasks w ON w.id = t.weights
            WHERE t.id IN (SELECT id FROM oldest) AND t.state = 'queued' AND t.attempt < t.max_attempts
              AND t.queued_at <= interval '2 minutes' + (
                  SELECT min(queued_at) FROM tasks WHERE id IN (SELECT id FROM oldest))
            ORDER BY CASE WHEN w.result->>'object_key' = ANY($3::text[]) THEN 0
                          WHEN w.result->>'object_key' IN (SELECT key FROM elsewhere) THEN 2 ELSE 1 END,
                     t.queued_at, t.position
            LIMIT 1 FOR NO KEY UPDATE OF t SKIP LOCKED
            """, stage.rawValue, worker, loaded
        ).first?.get("id")
    }

    /// Tasks that waited for `task` have one thing less to wait for; those with nothing left are queued.
    func release(dependentsOf task: UUID) async throws {
        let rows = try await query(
            """
            WITH dependents AS (
                SELECT t.id FROM tasks t JOIN task_dependencies d ON d.task_id = t.id
                WHERE d.depends_on = $1 ORDER BY t.id FOR NO KEY UPDATE OF t)
            UPDATE tasks SET pending = pending - 1,
                   state = CASE WHEN state = 'waiting' AND pending = 1 THEN 'queued' ELSE state END,
                   queued_at = CASE WHEN state = 'waiting' AND pending = 1 THEN now() ELSE queued_at END
            FROM dependents WHERE tasks.id = dependents.id
            RETURNING tasks.id, job_id, stage, state, pending
            """, task)
        for row in rows where try row.get(raw: "state") == TaskState.queued && row.get("pending", as: Int.self) == 0 {
            try await enqueue(
                TaskMessage(task: try row.get("id"), job: try row.get("job_id"), stage: try row.get(raw: "stage")))
        }
    }

    /// Fails a task and, one after the other, every task that cannot start without it.
    func failForGood(_ task: UUID, error: String) async throws {
        var failing = [(task, error)]
        while let (task, error) = failing.popLast() {
            let failed = try await query(
                """
                UPDATE tasks SET state = 'failed', error = $2, finished_at = now(), lease_until = NULL
                WHERE id = $1 AND state IN ('waiting', 'queued', 'running') RETURNING id
                """, task, error)
            if failed.isEmpty { continue }
            let dependents = try await query(
                """
                SELECT t.id, t.job_id, t.stage FROM tasks t JOIN task_dependencies d ON d.task_id = t.id
                WHERE d.depends_on = $1 ORDER BY t.id FOR NO KEY UPDATE OF t
                """, task)
            for row in dependents {
                let id: UUID = try row.get("id")
                guard try row.get(raw: "stage") == Stage.evaluate else {
                    failing.append((id, "needs a task that failed: \(error)"))
                    continue
                }
                let ready = try await query(
                    """
                    UPDATE tasks SET pending = pending - 1,
                           state = CASE WHEN state = 'waiting' AND pending = 1 THEN 'queued' ELSE state END,
                           queued_at = CASE WHEN pending = 1 THEN now() ELSE queued_at END
                    WHERE id = $1 RETURNING state, pending
                    """, id)
                if let row = ready.first, try row.get(raw: "state") == TaskState.queued,
                    try row.get("pending", as: Int.self) == 0
                {
                    try await enqueue(TaskMessage(task: id, job: try dependents[0].get("job_id"), stage: .evaluate))
                }
            }
        }
    }

    /// Ends a job whose tasks have all ended. The row is locked first: of two tasks that end at the same time, the
    /// second sees the first's end.
    func finishJobIfOver(_ job: UUID) async throws {
        try await query("SELECT id FROM jobs WHERE id = $1 FOR NO KEY UPDATE", job)
        try await query(
            """
            UPDATE jobs SET finished_at = now(),
                state = CASE WHEN EXISTS (SELECT FROM tasks WHERE job_id = $1 AND state = 'failed')
                             THEN 'failed' ELSE 'done' END
            WHERE id = $1 AND state IN ('queued', 'running') AND NOT EXISTS (
                SELECT FROM tasks WHERE job_id = $1 AND state IN ('waiting', 'queued', 'running'))
            """, job)
    }

    /// - Parameter after: when its message comes; until then no other message may stand for it
    func requeue(_ task: UUID, error: String, after: Duration = .zero) async throws {
        try await query(
            """
            UPDATE tasks SET state = 'queued', queued_at = now() + $3::float8 * interval '1 second', worker = NULL,
                             lease_until = NULL, error = $2
            WHERE id = $1
            """, task, error, after / .seconds(1))
    }

    func giveUp(_ task: UUID, job: UUID, attempts: Int, last error: String?) async throws {
        try await failForGood(task, error: "gave up after \(attempts) attempts: \(error ?? "its workers went silent")")
        try await finishJobIfOver(job)
    }
}
