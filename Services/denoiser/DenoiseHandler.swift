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
    let addOns: AddOns
    /// nil: pictures are not looked at.
    let safety: SafetyChecker?
    let compute = Compute()

    func handle(_ claim: Claim) async throws -> Completion {
        guard case .denoise(let picture) = claim.payload else {
            throw PermanentFailure("the denoiser has no use for a \(claim.stage.rawValue) task")
        }
        guard let prompt = try await database.prompt(picture.prompt) else {
            throw PermanentFailure("prompt \(picture.prompt) is gone")
        }
        let start = ContinuousClock.now
        let text = try await tensor("embedding", of: picture.promptEmbedding)
        let negative = try await tensor("embedding", of: picture.negativePromptEmbedding)
        // The shorter one is made as long as the other, with no words read as it was.
        let isShorter = text.shape[0] < negative.shape[0]
        var inputs = PicturePipeline.Inputs(
            prompt: text, negativePrompt: negative,
            empty: try await tensor(
                "empty", of: isShorter ? picture.promptEmbedding : picture.negativePromptEmbedding),
            tokens: try await tokens(picture), aggregation: Aggregation(rawValue: picture.method.rawValue))
        if let change = picture.sampling.change {
            inputs.picture = try await decoded(change.image, "init_image").overWhite
            if let mask = change.mask { inputs.mask = try await decoded(mask, "mask_image").rgb }
        }
        let given = inputs
        let name = "\(picture.method.rawValue) picture \(picture.index + 1)"
        let made: (image: RGBImage, loras: AddOns.Chosen, isFlagged: Bool)
        do {
            let loras = try addOns.find(
                (picture.reading?.loras ?? []).map { LoRAChoice(name: $0.name, weight: Float($0.weight ?? 1)) })
            let unet = try await changedUNet(picture, loras)
            made = try await compute {
                let image = try pictures(picture.sampling, seed: picture.seed, given, unet: unet) { done, steps in
                    try Task.checkCancellation()
                    presence.isWorking(on: claim.task, "\(name), step \(done) of \(steps)")
                }
                guard let safety, safety.flags(image) else { return (image, loras, false) }
                return (RGBImage(width: image.width, height: image.height, colour: .zero), loras, true)
            }
        } catch let error as CheckpointError {
            throw PermanentFailure(error.description)
        } catch let error as SchedulerError {
            throw PermanentFailure("\(error)")
        }
        if made.isFlagged {
            try await database.addNotice(
                "The safety checker found \(name) of '\(prompt.text.prefix(60))' (seed \(picture.seed)) unfit to be shown: it "
                    + "is black. Try another prompt or seed.", to: claim.job)
        }
        let parameters = PictureParameters(
            picture: picture, prompt: prompt.text, model: pictures.hash, loras: made.loras, isFlagged: made.isFlagged)
        let texts = picture.caption == nil ? [] : [("parameters", parameters.text(made.image))]
        let image = made.image
        let key = try await objects.put(image.pngData(text: texts), type: .png)
        let seconds = start.duration(to: .now) / .seconds(1)
        return Completion(TaskResult(objectKey: key, model: pictures.hash)) { transaction in
            try await transaction.savePicture(
                picture, task: claim.task, job: claim.job, objectKey: key, width: image.width, height: image.height,
                seconds: seconds, model: pictures.hash, worker: claim.worker)
        }
    }

    /// The UNet with the person's own weights and the request's LoRAs; nil where there are neither.
    private func changedUNet(
        _ picture: TaskPayload.Picture, _ loras: AddOns.Chosen
    ) async throws -> UNet2DConditionModel? {
        var weights: String?
        if let task = picture.weights {
            guard let made = try await database.taskResult(task) else {
                throw PermanentFailure("the weights of task \(task) are gone; start the job again")
            }
            weights = made.objectKey
        }
        guard weights != nil || !loras.loras.isEmpty else { return nil }
        let key = FineTunedUNets.Key(weights: weights, loras: loras.identity)
        if let unet = fineTuned.find(key) { return unet }
        var data: Data?
        if let weights { data = try await objects.get(weights) }
        let file = try data.map { try SafetensorsFile($0, name: weights ?? "") }
        let unet = try await compute { try fineTuned.load(key, file, loras) }
        presence.hasLoaded(fineTuned.keys)
        return unet
    }

    private func decoded(_ key: String, _ name: String) async throws -> DecodedImage {
        do {
            return try ImageFile.decode(try await objects.get(key))
        } catch let error as ImageError {
            throw PermanentFailure("\(name) \(key): \(error)")
        }
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
}
