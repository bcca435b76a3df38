import Contracts
import Foundation
import ImageIO
import ServiceKit
import Store
import Training

/// One task: a person's weights, or a part of a training run.
struct TrainHandler: Handler {
    let fineTuning: FineTuningHandler
    let curriculum: CurriculumHandler

    func handle(_ claim: Claim) async throws -> Completion {
        switch claim.payload {
        case .train(let training) where training.method.isFineTuned: try await fineTuning.handle(training, claim)
        case .curriculum(let part): try await curriculum.handle(part, claim)
        default: throw PermanentFailure("the trainer has no use for a \(claim.stage.rawValue) task")
        }
    }
}

/// One task, one person's weights. Safe to run twice: the same photos, model and settings give the same weights, which are
/// made once and found again by every later job.
struct FineTuningHandler: Sendable {
    let database: Database
    let objects: any ObjectStore
    let log: TrainingLog
    let fineTuner: FineTuner

    func handle(_ training: TaskPayload.FineTuning, _ claim: Claim) async throws -> Completion {
        let rows = try await database.photos(training.photos)
        guard rows.count == training.photos.count else {
            throw PermanentFailure(
                "\(training.photos.count - rows.count) of the photos have been removed; start the job again with those "
                    + "there are")
        }
        let recipe = try fineTuner.recipe(training.method, rows)
        if let known = try await known(recipe) { return known }
        // Another job may ask for the same weights, and another trainer be at them.
        let lock = try await fineTuner.lock(recipe)
        if let known = try await known(recipe) {
            fineTuner.forget(recipe)
            return known
        }
        var photos: [RGBImage] = []
        for row in rows {
            do { photos.append(try ImageFile.decode(try await objects.get(row.objectKey)).overWhite) } catch let error
                as ImageError
            {
                throw PermanentFailure("photo \(row.filename): \(error)")
            }
        }
        let (images, method) = (photos, training.method)
        let weights = try await log.keep(of: claim.task, part: method.rawValue) { report in
            try fineTuner(method, images, captions: rows.map(\.caption), recipe: recipe, report: report)
        }
        let key = try await objects.put(weights, type: .safetensors)
        return Completion(TaskResult(objectKey: key, model: recipe)) { transaction in
            try await transaction.saveFineTunedWeights(
                recipe: recipe, method: method, task: claim.task, objectKey: key)
        } afterCommit: {
            withExtendedLifetime(lock) { fineTuner.forget(recipe) }
        }
    }

    /// What is left to do where the weights are there already; nil where they are not.
    private func known(_ recipe: String) async throws -> Completion? {
        guard let key = try await database.fineTunedWeights(recipe: recipe), try await objects.exists(key) else {
            return nil
        }
        return Completion(TaskResult(objectKey: key, model: recipe))
    }
}
