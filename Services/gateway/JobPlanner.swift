import Contracts
public import Foundation
public import Store

/// Turns a checked request into tasks and what each of them waits for. A pure function but for the new ids.
///
///     encodePhoto × photos used ─▶ aggregate × methods ─┐
///                                                       ├─▶ denoise × methods × prompts × pictures ─▶ evaluate
///     encodePrompt × prompts, negative prompt ──────────┘
public struct JobPlanner {
    /// What is asked for.
    public let order: GenerateOrder
    /// The person's photos in their order. The first ones are references, the rest stay unseen and only score.
    public let photos: [UUID]
    /// The rows of the order's prompts, in their order.
    public let prompts: [UUID]
    /// The row of the negative prompt; may be one of `prompts`.
    public let negativePrompt: UUID

    /// A planner for one order.
    public init(order: GenerateOrder, photos: [UUID], prompts: [UUID], negativePrompt: UUID) {
        (self.order, self.photos, self.prompts, self.negativePrompt) = (order, photos, prompts, negativePrompt)
    }

    /// The tasks, in the order in which their results are shown, and what the user should know.
    /// - Parameter person: the name, for messages.
    /// - Throws: `APIError` (409) where the person's photos are too few or a method cannot be had.
    public func plan(person: String) throws(APIError) -> (tasks: [PlannedTask], notices: [String]) {
        let references = try references(person)
        let (methods, leftOut) = try methods(person)
        let unseen = Array(photos.dropFirst(references.count))

        let needed = methods.map { photosUsed(by: $0, of: references.count) }
        let encodePhoto = references.prefix(needed.max() ?? 0).map { PlannedTask(payload: .encodePhoto(photo: $0)) }
        let encodePrompt = prompts.map { PlannedTask(payload: .encodePrompt(prompt: $0)) }
        let shared = prompts.firstIndex(of: negativePrompt).map { encodePrompt[$0] }
        let encodeNegative = shared ?? PlannedTask(payload: .encodePrompt(prompt: negativePrompt))

        let aggregate = zip(methods, needed).map { method, count in
            let embeddings = encodePhoto.prefix(count).map(\.id)
            return PlannedTask(
                payload: .aggregate(.init(method: method, embeddings: embeddings, seed: order.seed)),
                dependsOn: embeddings)
        }
        let denoise = zip(methods, aggregate).flatMap { method, aggregate in
            zip(prompts, encodePrompt).flatMap { prompt, encodePrompt in
                (0..<order.pictures).map { index in
                    let picture = TaskPayload.Picture(
                        method: method, conditioning: aggregate.id, prompt: prompt, promptEmbedding: encodePrompt.id,
                        negativePromptEmbedding: encodeNegative.id, index: index, seed: order.seed &+ UInt64(index),
                        sampling: order.sampling)
                    return PlannedTask(
                        payload: .denoise(picture), dependsOn: [aggregate.id, encodePrompt.id, encodeNegative.id])
                }
            }
        }
        var tasks = encodePhoto + encodePrompt + (shared == nil ? [encodeNegative] : []) + aggregate + denoise
        if order.evaluate {
            let evaluation = TaskPayload.Evaluation(references: references, unseen: unseen)
            tasks.append(PlannedTask(payload: .evaluate(evaluation), dependsOn: denoise.map(\.id)))
        }
        return (tasks, order.notices + leftOut + notices(person, unseen: unseen))
    }

    private func references(_ person: String) throws(APIError) -> [UUID] {
        guard !photos.isEmpty else {
            throw APIError(409, "\(person) has no photos", remedy: "add some: likeness person add '\(person)' FOLDER")
        }
        let count = order.references ?? min(Limits.references.upperBound, photos.count)
        guard count <= photos.count else {
            throw APIError(
                409, "references is \(count), but \(person) has \(photos.count) photo(s)",
                remedy: "ask for at most \(photos.count), or add photos")
        }
        return Array(photos.prefix(count))
    }

    /// The methods that can be had, and a notice for one that cannot.
    private func methods(_ person: String) throws(APIError) -> ([Method], notices: [String]) {
        guard order.methods.contains(.dreambooth) else { return (order.methods, []) }
        let reason = "DreamBooth needs a model that was fine-tuned on \(person): there is none, training comes later"
        guard order.isAll else {
            throw APIError(409, reason, remedy: "leave the method dreambooth out: the others need no training")
        }
        return (order.methods.filter { $0 != .dreambooth }, ["\(reason). Its row is left out."])
    }

    private func photosUsed(by method: Method, of references: Int) -> Int {
        switch method.photos {
        case .none: 0
        case .one: min(1, references)
        // Where nine are needed, the aggregator bootstraps from fewer, by the job's seed.
        case .any, .nine: references
        }
    }

    private func notices(_ person: String, unseen: [UUID]) -> [String] {
        guard order.evaluate, unseen.isEmpty else { return [] }
        return [
            "All \(photos.count) photo(s) of \(person) are references, so none is left to score identity similarity: "
                + "add photos, or ask for fewer references."
        ]
    }
}
