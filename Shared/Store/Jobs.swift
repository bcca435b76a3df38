public import Contracts
public import Foundation

/// A task to be inserted with its job.
public struct PlannedTask: Sendable {
    public let id: UUID
    public let payload: TaskPayload
    /// Tasks of the same job that come first.
    public let dependsOn: [UUID]

    /// A task that waits for `dependsOn`.
    public init(id: UUID = UUID(), payload: TaskPayload, dependsOn: [UUID] = []) {
        (self.id, self.payload, self.dependsOn) = (id, payload, dependsOn)
    }

    /// The queue that it goes to.
    public var stage: Stage { payload.stage }

    /// The train task whose weights it needs loaded.
    var weights: UUID? {
        guard case .denoise(let picture) = payload else { return nil }
        return picture.weights
    }
}

/// A job with all of its tasks, ready to be accepted.
public struct JobPlan: Sendable {
    public var id: UUID
    public var person: UUID
    public var request: GenerateRequest
    /// A client's name for this request: sent again, it finds the first job.
    public var idempotencyKey: String?
    public var notices: [String]
    public var tasks: [PlannedTask]

    /// A job to generate pictures.
    public init(
        id: UUID = UUID(), person: UUID, request: GenerateRequest, idempotencyKey: String? = nil,
        notices: [String] = [], tasks: [PlannedTask]
    ) {
        (self.id, self.person, self.request) = (id, person, request)
        (self.idempotencyKey, self.notices, self.tasks) = (idempotencyKey, notices, tasks)
    }
}

extension Database {
    /// Accepts a job: its row, its tasks, their dependencies and the messages of those that can start, in one
    /// transaction. The same idempotency key again changes nothing.
    ///
    /// - Returns: the job's id; that of the first job with this idempotency key
    public func accept(_ plan: JobPlan) async throws -> UUID {
        let request = try JSONEncoder.likeness.encode(plan.request)
        return try await transaction { transaction in
            try await transaction.accept(
                job: plan.id, kind: "generate", person: plan.person, request: request,
                idempotencyKey: plan.idempotencyKey, notices: plan.notices, tasks: plan.tasks)
        }
    }

    /// A job as the API shows it.
    public func job(_ id: UUID) async throws -> JobView? {
        try await views("WHERE j.id = $1", id).first
    }

    /// The newest jobs that were asked for by name, newest first.
    public func jobs(limit: Int = 50) async throws -> [JobView] {
        try await views("WHERE j.kind IN ('generate', 'train') ORDER BY j.created_at DESC LIMIT $1", limit)
    }

    private func views(_ condition: String, _ parameter: any PostgresEncodable) async throws -> [JobView] {
        let jobs = try await query(
            """
            SELECT j.id, j.kind, coalesce(p.name, j.request->>'run', '') AS name, j.state, j.request, array_to_json(j.notices) AS notices,
                   extract(epoch FROM j.created_at) AS created_at, extract(epoch FROM j.finished_at) AS finished_at,
                   (SELECT error FROM tasks WHERE job_id = j.id AND state = 'failed' ORDER BY finished_at LIMIT 1) AS error
            FROM jobs j LEFT JOIN people p ON p.id = j.person_id \(condition)
            """, parameter)
        let ids: [UUID] = try jobs.map { try $0.get("id") }
        let counts = try await query(
            """
            SELECT job_id, stage, count(*) AS total,
                   count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'queued') AS queued,
                   count(*) FILTER (WHERE state = 'running') AS running, count(*) FILTER (WHERE state = 'done') AS done,
                   count(*) FILTER (WHERE state = 'failed') AS failed,
                   count(*) FILTER (WHERE state = 'cancelled') AS cancelled
            FROM tasks WHERE job_id = ANY($1::uuid[]) GROUP BY job_id, stage
            """, ids)
        var progress: [UUID: [StageProgress]] = [:]
        for row in counts {
            progress[try row.get("job_id"), default: []].append(
                StageProgress(
                    stage: try row.get(raw: "stage"), total: try row.get("total"), waiting: try row.get("waiting"),
                    queued: try row.get("queued"), running: try row.get("running"), done: try row.get("done"),
                    failed: try row.get("failed"), cancelled: try row.get("cancelled")))
        }
        let order = Stage.allCases
        return try jobs.map { row in
            let id: UUID = try row.get("id")
            let request: Data = try row.get("request")
            let isTraining = try row.get("kind", as: String.self) == "train"
            let isGenerate = !isTraining && request != Data("{}".utf8)
            return JobView(
                id: id, person: try row.get("name"), state: try row.get(raw: "state"),
                request: isGenerate
                    ? try row.get(json: "request", .likeness)
                    : GenerateRequest(person: try row.get("name"), methods: [], prompts: []),
                createdAt: try row.get("created_at"), finishedAt: try row.getOptional("finished_at"),
                stages: (progress[id] ?? []).sorted {
                    (order.firstIndex(of: $0.stage) ?? 0) < (order.firstIndex(of: $1.stage) ?? 0)
                },
                notices: try row.get(json: "notices", .likeness), error: try row.getOptional("error"),
                training: isTraining ? try row.get(json: "request", .likeness) : nil)
        }
    }

    /// Adds a notice to a job, once.
    public func addNotice(_ text: String, to job: UUID) async throws {
        try await query(
            "UPDATE jobs SET notices = array_append(notices, $2) WHERE id = $1 AND NOT $2 = ANY(notices)", job, text)
    }

    /// Cancels what has not ended. A task that is running is told when its worker next renews the lease; whatever it
    /// still produces is refused.
    ///
    /// - Returns: the job's state now; nil if there is no such job
    public func cancel(_ job: UUID) async throws -> JobState? {
        try await transaction { transaction in
            try await transaction.query("SELECT id FROM tasks WHERE job_id = $1 ORDER BY id FOR NO KEY UPDATE", job)
            try await transaction.query(
                """
                UPDATE tasks SET state = 'cancelled', finished_at = now(), lease_until = NULL
                WHERE job_id = $1 AND state IN ('waiting', 'queued', 'running')
                """, job)
            try await transaction.query(
                """
                UPDATE jobs SET state = 'cancelled', finished_at = now()
                WHERE id = $1 AND state IN ('queued', 'running')
                """, job)
            return try await transaction.query("SELECT state FROM jobs WHERE id = $1", job).first?.get(raw: "state")
        }
    }
}

extension Transaction {
    /// See ``Database/accept(_:)``.
    @discardableResult
    func accept(
        job: UUID, kind: String, person: UUID?, request: Data, idempotencyKey: String?, notices: [String],
        tasks: [PlannedTask]
    ) async throws -> UUID {
        let inserted = try await query(
            """
            INSERT INTO jobs (id, kind, person_id, request, idempotency_key, notices)
            VALUES ($1, $2, $3, $4::jsonb, $5, $6::text[]) ON CONFLICT DO NOTHING RETURNING id
            """,
            job, kind, person, request, idempotencyKey, notices)
        if inserted.isEmpty {
            let rows = try await query("SELECT id FROM jobs WHERE idempotency_key = $1 OR id = $2", idempotencyKey, job)
            guard let row = rows.first else { throw StoreError.decoding("no job came back") }
            return try row.get("id")
        }
        for (position, task) in tasks.enumerated() {
            try await query(
                """
                INSERT INTO tasks (id, job_id, stage, position, payload, state, pending, weights, queued_at)
                VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, CASE WHEN $7 = 0 THEN now() END)
                """,
                task.id, job, task.stage.rawValue, position, try JSONEncoder.likeness.encode(task.payload),
                task.dependsOn.isEmpty ? "queued" : "waiting", Set(task.dependsOn).count, task.weights)
        }
        for task in tasks where !task.dependsOn.isEmpty {
            try await query(
                "INSERT INTO task_dependencies (task_id, depends_on) SELECT $1, unnest($2::uuid[])", task.id,
                Array(Set(task.dependsOn)))
        }
        for task in tasks where task.dependsOn.isEmpty {
            try await enqueue(TaskMessage(task: task.id, job: job, stage: task.stage))
        }
        return job
    }
}
