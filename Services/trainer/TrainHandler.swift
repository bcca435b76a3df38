import Contracts
import Foundation
import ImageIO
import ServiceKit
import Store
import Training

/// One task, one person's weights. Safe to run twice: the same photos, model and settings give the same weights, which are
/// made once and found again by every later job.
struct TrainHandler: Handler {
    let database: Database
    let objects: any ObjectStore
    let presence: Presence
    let fineTuner: FineTuner
    let compute = Compute()

    func handle(_ claim: Claim) async throws -> Completion {
        guard case .train(let training) = claim.payload, training.method.isFineTuned else {
            throw PermanentFailure("the trainer has no use for a \(claim.stage.rawValue) task")
        }
        let rows = try await database.photos(training.photos)
        guard rows.count == training.photos.count else {
            throw PermanentFailure(
                "\(training.photos.count - rows.count) of the photos have been removed; start the job again with those "
                    + "there are")
        }
        let recipe = try fineTuner.recipe(training.method, photos: rows.map(\.contentHash))
        if let key = try await database.fineTunedWeights(recipe: recipe), try await objects.exists(key) {
            return Completion(TaskResult(objectKey: key, model: recipe))
        }
        var photos: [RGBImage] = []
        for row in rows {
            do { photos.append(try ImageFile.decode(try await objects.get(row.objectKey)).overWhite) } catch let error
                as ImageError
            {
                throw PermanentFailure("photo \(row.filename): \(error)")
            }
        }
        let weights = try await train(training.method, photos, recipe: recipe, task: claim.task)
        let key = try await objects.put(weights, type: .safetensors)
        fineTuner.forget(recipe)
        return Completion(TaskResult(objectKey: key, model: recipe)) { transaction in
            try await transaction.saveFineTunedWeights(
                recipe: recipe, method: training.method, task: claim.task, objectKey: key)
        }
    }

    /// Trains on the compute thread, while each line of the log is written to Postgres as it comes.
    private func train(
        _ method: Contracts.Method, _ photos: [RGBImage], recipe: String, task: UUID
    ) async throws -> Data {
        let (lines, log) = AsyncStream.makeStream(of: TrainingView.self)
        return try await withThrowingTaskGroup(of: Data?.self) { group in
            group.addTask {
                for await line in lines { try await database.logTraining(line) }
                return nil
            }
            group.addTask {
                defer { log.finish() }
                return try await compute {
                    try fineTuner(method, photos, recipe: recipe) { event in
                        try Task.checkCancellation()
                        presence.isWorking(on: task, event.inWords(method))
                        guard case .progress(let p) = event else { return }
                        log.yield(
                            TrainingView(
                                task: task, method: method, step: p.step, steps: p.steps, loss: p.loss,
                                imagesPerSecond: p.imagesPerSecond, secondsLeft: p.secondsLeft))
                    }
                }
            }
            var weights: Data?
            for try await result in group { weights = result ?? weights }
            guard let weights else { throw CancellationError() }
            return weights
        }
    }
}
