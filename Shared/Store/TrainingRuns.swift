public import Contracts
public import Foundation

extension Database {
    /// Accepts a training run: a task for each part, one after the other. The same idempotency key again changes nothing.
    ///
    /// - Returns: the job's id; that of the first job with this idempotency key
    public func accept(
        _ request: TrainingRequest, stages: [CurriculumStage], idempotencyKey: String?, job: UUID = UUID()
    ) async throws -> UUID {
        var tasks: [PlannedTask] = []
        for stage in stages {
            tasks.append(
                PlannedTask(
                    payload: .curriculum(.init(stage: stage, request: request)),
                    dependsOn: tasks.last.map { [$0.id] } ?? []
                ))
        }
        let (body, planned) = (try JSONEncoder.likeness.encode(request), tasks)
        return try await transaction { transaction in
            try await transaction.accept(
                job: job, kind: "train", person: nil, request: body, idempotencyKey: idempotencyKey, notices: [],
                tasks: planned)
        }
    }

    /// The unfinished training run of this name: two at a time would write the same folder.
    public func unfinishedTraining(run: String) async throws -> UUID? {
        try await query(
            """
            SELECT id FROM jobs WHERE kind = 'train' AND state IN ('queued', 'running') AND request->>'run' = $1 LIMIT 1
            """, run
        ).first?.get("id")
    }
}

extension Transaction {
    /// Keeps where the weights of a part are, for whoever wants to use them.
    public func saveTrainedPart(hash: String, stage: CurriculumStage, run: String, objectKey: String) async throws {
        try await query(
            """
            INSERT INTO models (hash, kind, name, object_key) VALUES ($1, $2, $3, $4)
            ON CONFLICT (hash) DO UPDATE SET object_key = excluded.object_key
            """, hash, stage.rawValue, run, objectKey)
    }
}
