import Checkpoint
import Contracts
import Foundation
import ImageIO
import ServiceKit
import Store

/// One photo or prompt → one embedding. Safe to run twice: the embedding is keyed by content and model.
struct EncodeHandler: Handler {
    let database: Database
    let objects: any ObjectStore
    let images: ImageEmbedder
    let prompts: PromptEmbedder
    let compute = Compute()

    func handle(_ claim: Claim) async throws -> Completion {
        switch claim.payload {
        case .encodePhoto(let id):
            guard let photo = try await database.photo(id) else {
                throw PermanentFailure("photo \(id) has been removed; start the job again with the photos there are")
            }
            do {
                if images.readsFaces, let face = photo.faceEmbedding {
                    let key = try await objects.put(images(face), type: .safetensors)
                    return Completion(TaskResult(objectKey: key, model: "given"))
                }
                return try await embedding(.image, of: photo.contentHash, model: images.hash) {
                    let file = try await objects.get(photo.objectKey)
                    return try await compute { try images(file) }
                }
            } catch let error where error is ImageError || error is CheckpointError {
                throw PermanentFailure("photo \(photo.filename): \(error)")
            }
        case .encodePrompt(let id, let how):
            guard let prompt = try await database.prompt(id) else { throw PermanentFailure("prompt \(id) is gone") }
            let reading = try await compute {
                do { return try prompts.reading(prompt.text, how) } catch let error as CheckpointError {
                    throw PermanentFailure(error.description)
                }
            }
            let chunks = reading.chunks
            if chunks > 1 {
                try await database.addNotice(
                    "The prompt '\(prompt.text.prefix(60))…' is longer than CLIP reads at once: it is read in \(chunks) parts.",
                    to: claim.job)
            }
            return try await embedding(.text, of: prompt.contentHash, model: reading.model) {
                try await compute { try reading.embed() }
            }
        default:
            throw PermanentFailure("the encoder has no use for a \(claim.stage.rawValue) task")
        }
    }

    private func embedding(
        _ kind: EmbeddingKind, of hash: String, model: String, make: () async throws -> Data
    ) async throws -> Completion {
        if let key = try await database.embedding(kind, contentHash: hash, model: model), try await objects.exists(key)
        {
            return Completion(TaskResult(objectKey: key, model: model))
        }
        let key = try await objects.put(try await make(), type: .safetensors)
        return Completion(TaskResult(objectKey: key, model: model)) { transaction in
            try await transaction.saveEmbedding(kind, contentHash: hash, model: model, objectKey: key)
        }
    }
}
