public import Contracts
import Foundation

/// What Postgres knows of one stage's queue.
public struct StageStatus: Sendable {
    public let stage: Stage
    public let queued: Int
    public let running: Int
    /// Seconds that the oldest queued task has waited.
    public let oldestQueued: Double?
    public let donePerMinute: Int
}

extension Database {
    /// Says that a process is alive, what it does, and the object keys of the weights it has loaded.
    public func heartbeat(
        worker: String, service: String, host: String, pid: Int, state: String, activity: String?, tasksDone: Int,
        loaded: [String] = []
    ) async throws {
        try await query(
            """
            INSERT INTO workers (id, service, host, pid, state, activity, tasks_done, loaded)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text[])
            ON CONFLICT (id) DO UPDATE SET state = excluded.state, activity = excluded.activity,
                tasks_done = excluded.tasks_done, loaded = excluded.loaded, seen_at = now()
            """,
            worker, service, host, pid, state, activity, tasksDone, loaded)
    }

    /// Processes seen in the last day. One that says nothing for 30 s and did not say that it stopped is `lost`.
    public func workers() async throws -> [WorkerView] {
        try await query(
            """
            SELECT id, service, host, pid, activity, tasks_done,
                   CASE WHEN state <> 'stopped' AND seen_at < now() - interval '30 seconds' THEN 'lost' ELSE state END
                   AS state,
                   extract(epoch FROM started_at) AS started_at, extract(epoch FROM seen_at) AS seen_at
            FROM workers WHERE seen_at > now() - interval '1 day' ORDER BY service, started_at
            """
        ).map {
            WorkerView(
                id: try $0.get("id"), service: try $0.get("service"), host: try $0.get("host"), pid: try $0.get("pid"),
                state: try $0.get("state"), activity: try $0.getOptional("activity"),
                startedAt: try $0.get("started_at"), seenAt: try $0.get("seen_at"), tasksDone: try $0.get("tasks_done"))
        }
    }

    /// Depth, age and speed of every stage.
    public func stageStatus() async throws -> [StageStatus] {
        let rows = try await query(
            """
            SELECT stage, count(*) FILTER (WHERE state = 'queued') AS queued,
                   count(*) FILTER (WHERE state = 'running') AS running,
                   greatest(extract(epoch FROM now() - min(queued_at) FILTER (WHERE state = 'queued')), 0) AS oldest,
                   count(*) FILTER (WHERE state = 'done' AND finished_at > now() - interval '1 minute') AS per_minute
            FROM tasks
            WHERE state = 'queued' OR state = 'running' -- apart, as the partial indexes are
               OR state = 'done' AND finished_at > now() - interval '1 minute'
            GROUP BY stage
            """)
        let known = try Dictionary(
            rows.map { row in
                let stage: Stage = try row.get(raw: "stage")
                return (
                    stage,
                    StageStatus(
                        stage: stage, queued: try row.get("queued"), running: try row.get("running"),
                        oldestQueued: try row.getOptional("oldest"), donePerMinute: try row.get("per_minute"))
                )
            }, uniquingKeysWith: { first, _ in first })
        return Stage.allCases.map {
            known[$0] ?? StageStatus(stage: $0, queued: 0, running: 0, oldestQueued: nil, donePerMinute: 0)
        }
    }
}
