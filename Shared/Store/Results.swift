public import Contracts
public import Foundation

extension Transaction {
    /// Adds a picture; its task's picture, should it be there, stays.
    public func savePicture(
        _ picture: TaskPayload.Picture, task: UUID, job: UUID, objectKey: String, width: Int, height: Int,
        seconds: Double, model: String, worker: String
    ) async throws {
        try await query(
            """
            INSERT INTO results (task_id, job_id, method, prompt_id, index, seed, object_key, width, height, seconds,
                                 model, worker)
            VALUES ($1, $2, $3, $4, $5, $6::numeric, $7, $8, $9, $10, $11, $12) ON CONFLICT (task_id) DO NOTHING
            """,
            task, job, picture.method.rawValue, picture.prompt, picture.index, picture.seed, objectKey, width, height,
            seconds, model, worker)
    }

    /// Sets a job's scores.
    public func saveMetrics(_ metrics: [MetricView], job: UUID) async throws {
        for metric in metrics {
            try await query(
                """
                INSERT INTO metrics (job_id, method, name, value, samples, note) VALUES ($1, $2, $3, $4, $5, $6)
                ON CONFLICT (job_id, method, name) DO UPDATE
                SET value = excluded.value, samples = excluded.samples, note = excluded.note
                """,
                job, metric.method.rawValue, metric.name.rawValue, metric.value, metric.samples, metric.note)
        }
    }

    /// Sets a job's contact sheet.
    public func setContactSheet(_ objectKey: String, job: UUID) async throws {
        try await query("UPDATE jobs SET contact_sheet = $2 WHERE id = $1", job, objectKey)
    }
}

extension Database {
    /// Everything a job has made so far, in the order of methods, prompts and indices; nil if there is no such job.
    public func results(_ job: UUID) async throws -> JobResults? {
        guard let row = try await query("SELECT contact_sheet FROM jobs WHERE id = $1", job).first else { return nil }
        let pictures = try await query(
            """
            SELECT r.task_id, r.method, p.text, r.index, r.seed, r.object_key, r.width, r.height, r.seconds, r.model,
                   r.worker
            FROM results r JOIN tasks t ON t.id = r.task_id JOIN prompts p ON p.id = r.prompt_id
            WHERE r.job_id = $1 ORDER BY t.position
            """, job)
        let metrics = try await query(
            "SELECT method, name, value, samples, note FROM metrics WHERE job_id = $1 ORDER BY method, name", job)
        return JobResults(
            job: job,
            pictures: try pictures.map {
                PictureView(
                    task: try $0.get("task_id"), method: try $0.get(raw: "method"), prompt: try $0.get("text"),
                    index: try $0.get("index"), seed: try $0.get("seed"), objectKey: try $0.get("object_key"),
                    width: try $0.get("width"), height: try $0.get("height"), seconds: try $0.get("seconds"),
                    model: try $0.get("model"), worker: try $0.get("worker"))
            },
            metrics: try metrics.map {
                MetricView(
                    method: try $0.get(raw: "method"), name: try $0.get(raw: "name"),
                    value: try $0.getOptional("value"),
                    samples: try $0.get("samples"), note: try $0.getOptional("note"))
            },
            contactSheet: try row.getOptional("contact_sheet"))
    }
}
