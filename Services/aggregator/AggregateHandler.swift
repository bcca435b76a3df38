import Checkpoint
import Contracts
import Foundation
import ServiceKit
import Store
import TensorEngine

/// One method's view of a person. Safe to run twice: the tokens are keyed by their content.
struct AggregateHandler: Handler {
    let database: Database
    let objects: any ObjectStore
    let tokens: TokenMaker
    let compute = Compute()

    func handle(_ claim: Claim) async throws -> Completion {
        guard case .aggregate(let aggregation) = claim.payload else {
            throw PermanentFailure("the aggregator has no use for a \(claim.stage.rawValue) task")
        }
        var files: [Data] = []
        for task in aggregation.embeddings {
            guard let made = try await database.taskResult(task) else {
                throw PermanentFailure("the embedding of task \(task) is gone; start the job again")
            }
            files.append(try await objects.get(made.objectKey))
        }
        let inputs = files
        do {
            let data = try await compute {
                let embeddings = try inputs.map { try SafetensorsFile($0, name: "embedding").tensor("embedding") }
                return try tokens(aggregation.method, embeddings, seed: aggregation.seed, weights: aggregation.weights)
            }
            let key = try await objects.put(data, type: .safetensors)
            return Completion(TaskResult(objectKey: key, model: tokens.hash))
        } catch let error as CheckpointError {
            throw PermanentFailure(error.description)
        }
    }
}
