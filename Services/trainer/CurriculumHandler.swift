import Checkpoint
import Contracts
import Crypto
import Foundation
import RenderedPeople
import ServiceKit
import Store
import Training

/// One task, one part of the miniature family, trained in the run's folder below LIKENESS_TRAINING. Safe to run twice: a
/// part that was cut off goes on from its last state, one that is done is only stored again, under the same key.
struct CurriculumHandler: Sendable {
    let database: Database
    let objects: any ObjectStore
    let log: TrainingLog
    let runs: URL

    func handle(_ part: TaskPayload.Curriculum, _ claim: Claim) async throws -> Completion {
        guard let stage = TrainingStage(rawValue: part.stage.rawValue) else {
            throw PermanentFailure("this trainer does not know the part \(part.stage.rawValue); start a newer one")
        }
        let request = part.request
        let work = runs.appendingPathComponent("runs/\(request.run)")
        // A cancelled job of this name may still be at its last update.
        let lock = try await FolderLock.wait(for: work)
        defer { withExtendedLifetime(lock) {} }
        let curriculum = Curriculum(
            Self.settings(request), work: work, people: request.people.map { URL(fileURLWithPath: $0) })
        let first = request.from.flatMap(TrainingStage.init(rawValue:)) ?? .vae
        let weights: Data
        do {
            let notices: [String]
            (weights, notices) = try await log.keep(of: claim.task, part: stage.rawValue) { report in
                try report(.news("\(stage.rawValue): preparing data"))
                try curriculum.prepare(from: first)
                var notices: [String] = []
                try curriculum.run(stage, say: { notices.append($0) }) { try report(.progress($0)) }
                return (try Data(contentsOf: curriculum.weightsURL(stage)), notices)
            }
            for notice in notices { try await database.addNotice("\(stage.rawValue): \(notice)", to: claim.job) }
        } catch let error as CheckpointError {
            throw PermanentFailure(error.description)
        } catch let error as DatasetError {
            throw PermanentFailure(error.description)
        }
        let key = try await objects.put(weights, type: .safetensors)
        let hash = SHA256.hash(data: weights).map { String(format: "%02x", $0) }.joined()
        return Completion(TaskResult(objectKey: key, model: hash)) { transaction in
            try await transaction.saveTrainedPart(hash: hash, stage: part.stage, run: request.run, objectKey: key)
        }
    }

    private static func settings(_ request: TrainingRequest) -> CurriculumSettings {
        var settings = CurriculumSettings()
        settings.seed = request.seed ?? settings.seed
        settings.pretrainingPeople = request.pretrainingPeople ?? settings.pretrainingPeople
        settings.people = request.renderedPeople ?? settings.people
        settings.steps.merge(request.steps ?? [:]) { _, asked in asked }
        settings.readout = request.readout ?? settings.readout
        return settings
    }
}
