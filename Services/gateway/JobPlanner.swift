import Contracts
public import Foundation
public import Store

/// Turns a checked request into tasks and what each of them waits for. A pure function but for the new ids.
///
///     encodePhoto × photos used ─▶ aggregate × methods with image tokens ─┐
///     train × methods with weights of the person's own ───────────────────┼─▶ denoise × methods × prompts × pictures
///     encodePrompt × prompts, negative prompt ────────────────────────────┘                                  ─▶ evaluate
public struct JobPlanner {
    /// What is asked for.
    public let order: GenerateOrder
    /// The person's photos in their order. The first ones are references, the rest stay unseen and only score.
    public let photos: [UUID]
    /// The rows of the order's prompts, in their order.
    public let prompts: [UUID]
    /// The rows of the same prompts as fine-tuned models read them, with the identifier (``SubjectPrompt``).
    public let subjectPrompts: [UUID]
    /// The row of the negative prompt; may be one of `prompts`.
    public let negativePrompt: UUID

    /// A planner for one order.
    public init(
        order: GenerateOrder, photos: [UUID], prompts: [UUID], subjectPrompts: [UUID], negativePrompt: UUID
    ) {
        (self.order, self.photos, self.prompts) = (order, photos, prompts)
        (self.subjectPrompts, self.negativePrompt) = (subjectPrompts, negativePrompt)
    }

    /// The tasks, in the order in which their results are shown, and what the user should know.
    /// - Parameters:
    ///   - person: the name, for messages
    ///   - id: the person's, for the pictures' parameters
    /// - Throws: `APIError` (409) where the person's photos are too few.
    public func plan(person: String, id: UUID) throws(APIError) -> (tasks: [PlannedTask], notices: [String]) {
        let references = try references(person)
        let unseen = Array(photos.dropFirst(references.count))

        let needed = order.methods.map { photosUsed(by: $0, of: references.count) }
        let encodePhoto = references.prefix(needed.max() ?? 0).map { PlannedTask(payload: .encodePhoto(photo: $0)) }
        var encodePrompt: [EncodedPrompt: PlannedTask] = [:]
        // diffusers reads the negative prompt with all layers, whatever `clip_skip` says.
        let negativeRead = EncodedPrompt(prompt: negativePrompt, reading: order.reading?.withoutClipSkip)
        let read =
            order.methods.flatMap { prompts(of: $0) }.map { EncodedPrompt(prompt: $0, reading: order.reading) }
            + [negativeRead]
        for prompt in read where encodePrompt[prompt] == nil {
            encodePrompt[prompt] = PlannedTask(
                payload: .encodePrompt(prompt: prompt.prompt, reading: prompt.reading))
        }

        let prepare = zip(order.methods, needed).map { method, count in
            if method.isFineTuned { return PlannedTask(payload: .train(.init(method: method, photos: references))) }
            let embeddings = encodePhoto.prefix(count).map(\.id)
            return PlannedTask(
                payload: .aggregate(
                    .init(method: method, embeddings: embeddings, seed: order.seed, weights: order.photoWeights)),
                dependsOn: embeddings)
        }
        let caption = TaskPayload.Picture.Caption(
            person: id, negativePrompt: order.negativePrompt, photoWeights: order.photoWeights)
        let denoise = zip(order.methods, prepare).flatMap { method, prepare in
            zip(prompts, prompts(of: method)).flatMap { prompt, read in
                order.seeds.enumerated().compactMap { index, seed -> PlannedTask? in
                    guard let text = encodePrompt[EncodedPrompt(prompt: read, reading: order.reading)],
                        let negative = encodePrompt[negativeRead]
                    else { return nil }
                    let picture = TaskPayload.Picture(
                        method: method, conditioning: method.isFineTuned ? nil : prepare.id,
                        weights: method.isFineTuned ? prepare.id : nil, prompt: prompt, promptEmbedding: text.id,
                        negativePromptEmbedding: negative.id, index: index, seed: seed,
                        sampling: order.sampling, reading: order.reading,
                        caption: order.embedParameters ? caption : nil)
                    return PlannedTask(payload: .denoise(picture), dependsOn: [prepare.id, text.id, negative.id])
                }
            }
        }
        var seen: Set<EncodedPrompt> = []
        let texts = read.filter { seen.insert($0).inserted }.compactMap { encodePrompt[$0] }
        var tasks = encodePhoto + texts + prepare + denoise
        if order.evaluate {
            let evaluation = TaskPayload.Evaluation(references: references, unseen: unseen)
            tasks.append(PlannedTask(payload: .evaluate(evaluation), dependsOn: denoise.map(\.id)))
        }
        return (tasks, order.notices + notices(person, references: references, unseen: unseen))
    }

    private struct EncodedPrompt: Hashable {
        let prompt: UUID
        let reading: PromptReading?
    }

    private func prompts(of method: Contracts.Method) -> [UUID] { method.isFineTuned ? subjectPrompts : prompts }

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

    private func photosUsed(by method: Method, of references: Int) -> Int {
        switch method.photos {
        case .none: 0
        case .one: min(1, references)
        // Where nine are needed, the aggregator bootstraps from fewer, by the job's seed.
        case .any, .nine: references
        }
    }

    private func notices(_ person: String, references: [UUID], unseen: [UUID]) -> [String] {
        var notices: [String] = []
        if order.evaluate, unseen.isEmpty {
            notices.append(
                "All \(photos.count) photo(s) of \(person) are references, so none is left to score identity similarity: "
                    + "add photos, or ask for fewer references.")
        }
        if references.count == 1, order.methods.contains(where: { $0.photos != .one }) {
            notices.append(
                "\(person) has one reference photo: every method has only that to go by, and methods that want nine get it "
                    + "nine times.")
        }
        return notices
    }
}
