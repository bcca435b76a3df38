import Checkpoint
import Contracts
import Diffusion
import Foundation
import IPAdapter
import ImageIO
import ModelFolder
import ServiceKit
import Store
import TensorEngine

/// One task, one picture. Safe to run twice: the bytes are the same, and `results` has one row for each task.
struct DenoiseHandler: Handler {
    let database: Database
    let objects: any ObjectStore
    let presence: Presence
    let pictures: PictureMaker
    let fineTuned: FineTunedUNets
    let compute = Compute()

    func handle(_ claim: Claim) async throws -> Completion {
        guard case .denoise(let picture) = claim.payload else {
            throw PermanentFailure("the denoiser has no use for a \(claim.stage.rawValue) task")
        }
        guard let prompt = try await database.prompt(picture.prompt) else {
            throw PermanentFailure("prompt \(picture.prompt) is gone")
        }
        let start = ContinuousClock.now
        let inputs = PicturePipeline.Inputs(
            prompt: try await tensor("embedding", of: picture.promptEmbedding),
            negativePrompt: try await tensor("embedding", of: picture.negativePromptEmbedding),
            empty: try await tensor("empty", of: picture.promptEmbedding),
            tokens: try await tokens(picture), aggregation: Aggregation(rawValue: picture.method.rawValue))
        let name = "\(picture.method.rawValue) picture \(picture.index + 1)"
        let image: RGBImage
        do {
            let unet = try await ownUNet(picture)
            image = try await compute {
                try pictures(picture.sampling, seed: picture.seed, inputs, unet: unet) { done, steps in
                    try Task.checkCancellation()
                    presence.isWorking(on: claim.task, "\(name), step \(done) of \(steps)")
                }
            }
        } catch let error as CheckpointError {
            throw PermanentFailure(error.description)
        } catch let error as SchedulerError {
            throw PermanentFailure("\(error)")
        }
        let key = try await objects.put(
            image.pngData(text: [("parameters", parameters(picture, prompt.text))]), type: .png)
        let seconds = start.duration(to: .now) / .seconds(1)
        return Completion(TaskResult(objectKey: key, model: pictures.hash)) { transaction in
            try await transaction.savePicture(
                picture, task: claim.task, job: claim.job, objectKey: key, width: image.width, height: image.height,
                seconds: seconds, model: pictures.hash, worker: claim.worker)
        }
    }

    /// The UNet with the person's own weights; nil where the method has none.
    private func ownUNet(_ picture: TaskPayload.Picture) async throws -> UNet2DConditionModel? {
        guard let task = picture.weights else { return nil }
        guard let made = try await database.taskResult(task) else {
            throw PermanentFailure("the weights of task \(task) are gone; start the job again")
        }
        if let unet = fineTuned.find(made.objectKey) { return unet }
        let data = try await objects.get(made.objectKey)
        let unet = try await compute {
            try fineTuned.load(made.objectKey, SafetensorsFile(data, name: made.objectKey))
        }
        presence.hasLoaded(fineTuned.keys)
        return unet
    }

    private func tokens(_ picture: TaskPayload.Picture) async throws -> Tensor? {
        guard let task = picture.conditioning else { return nil }
        return try await tensor("tokens", of: task)
    }

    private func tensor(_ name: String, of task: UUID) async throws -> Tensor {
        guard let made = try await database.taskResult(task) else {
            throw PermanentFailure("the \(name) of task \(task) is gone; start the job again")
        }
        return try SafetensorsFile(try await objects.get(made.objectKey), name: made.objectKey).tensor(name)
    }

    /// What the picture was made with, for its PNG's text chunk. Nothing that differs from run to run.
    private func parameters(_ picture: TaskPayload.Picture, _ prompt: String) -> String {
        let s = picture.sampling
        return """
            \(prompt)
            Method: \(picture.method.rawValue), Steps: \(s.steps), Sampler: \(s.scheduler.rawValue), \
            CFG scale: \(s.guidanceScale), IP-Adapter scale: \(s.ipAdapterScale), Seed: \(picture.seed), \
            Model hash: \(pictures.hash.prefix(10))
            """
    }
}
