public import Contracts
public import Foundation

extension Database {
    /// Accepts a training run: a task for each part, one after the other. The same idempotency key again changes nothing.
    ///
    /// - Returns: the job's id; that of the first job with this idempotency key
    /// - Throws: ``TrainingRunUnderWay`` if another job of this name has not ended: two would write the same folder
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
            if let other = try await transaction.unfinishedTraining(run: request.run, unlessKnown: idempotencyKey) {
                throw TrainingRunUnderWay(run: request.run, job: other)
            }
            return try await transaction.accept(
                job: job, kind: "train", person: nil, request: body, idempotencyKey: idempotencyKey, notices: [],
                tasks: planned)
        }
    }
}

/// A training run's name is taken by a job that has not ended.
public struct TrainingRunUnderWay: Error, Sendable {
    public let run: String
    public let job: UUID
}

extension Transaction {
    /// The unfinished training run of this name, if the idempotency key is new. Until the transaction ends nobody else is
    /// told the answer for this name, so that of two at the same moment one waits for the other.
    func unfinishedTraining(run: String, unlessKnown key: String?) async throws -> UUID? {
        try await query("SELECT pg_advisory_xact_lock(hashtextextended('training run ' || $1, 0))", run)
        return try await query(
            """
            SELECT id FROM jobs WHERE kind = 'train' AND state IN ('queued', 'running') AND request->>'run' = $1
            AND NOT EXISTS (SELECT FROM jobs WHERE idempotency_key = $2) LIMIT 1
            """, run, key
        ).first?.get("id")
    }

    /// Keeps where the weights of a part are, for whoever wants to use them.
    public func saveTrainedPart(hash: String, stage: CurriculumStage, run: String, objectKey: String) async throws {
        try await query(
            """
            INSERT INTO models (hash, kind, name, object_key) VALUES ($1, $2, $3, $4)
            ON CONFLICT (hash) DO UPDATE SET object_key = excluded.object_key
            """, hash, stage.rawValue, run, objectKey)
    }
}
