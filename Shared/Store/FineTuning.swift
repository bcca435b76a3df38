public import Contracts
public import Foundation

extension Database {
    /// The weights that were made by this recipe (photos, model and settings), if they were.
    public func fineTunedWeights(recipe: String) async throws -> String? {
        try await query("SELECT object_key FROM models WHERE hash = $1", recipe).first?.getOptional("object_key")
    }

    /// Adds a line to a training run's log; one that is told again, by a run that went on from an older state, replaces
    /// the first.
    public func logTraining(_ line: TrainingView) async throws {
        try await query(
            """
            INSERT INTO training_log (task_id, step, steps, loss, images_per_second, seconds_left)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (task_id, step) DO UPDATE SET loss = excluded.loss, created_at = now(),
                images_per_second = excluded.images_per_second, seconds_left = excluded.seconds_left
            """,
            line.task, line.step, line.steps, line.loss, line.imagesPerSecond, line.secondsLeft)
    }

    /// The logs of a job's training runs, run by run, from the first step; nil if there is no such job.
    public func trainingLog(_ job: UUID) async throws -> [TrainingView]? {
        guard try await !query("SELECT id FROM jobs WHERE id = $1", job).isEmpty else { return nil }
        let rows = try await query(
            """
            SELECT t.id, t.payload, l.step, l.steps, l.loss, l.images_per_second, l.seconds_left
            FROM training_log l JOIN tasks t ON t.id = l.task_id WHERE t.job_id = $1 ORDER BY t.position, l.step
            """, job)
        return try rows.compactMap { row in
            let part: String
            switch try row.get(json: "payload", as: TaskPayload.self, .likeness) {
            case .train(let training): part = training.method.rawValue
            case .curriculum(let curriculum): part = curriculum.stage.rawValue
            default: return nil
            }
            return TrainingView(
                task: try row.get("id"), part: part, step: try row.get("step"),
                steps: try row.get("steps"), loss: try row.get("loss"),
                imagesPerSecond: try row.get("images_per_second"), secondsLeft: try row.get("seconds_left"))
        }
    }
}

extension Transaction {
    /// Keeps a person's own weights for every later job that asks for the same.
    ///
    /// - Parameters:
    ///   - recipe: hash of photos, model and settings
    ///   - task: the train task, which tells the person
    public func saveFineTunedWeights(recipe: String, method: Contracts.Method, task: UUID, objectKey: String)
        async throws
    {
        try await query(
            """
            INSERT INTO models (hash, kind, name, person_id, object_key)
            SELECT $1, $2, p.name, p.id, $4
            FROM tasks t JOIN jobs j ON j.id = t.job_id JOIN people p ON p.id = j.person_id WHERE t.id = $3
            ON CONFLICT (hash) DO UPDATE SET object_key = excluded.object_key
            """, recipe, method.rawValue, task, objectKey)
    }
}
