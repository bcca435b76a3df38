import Contracts
import Foundation
import Store
import Testing
import gateway

/// Which tasks a request becomes, and what each of them waits for.
@Suite struct JobPlannerTests {
    private struct Plan {
        let tasks: [PlannedTask]
        let notices: [String]
        let photos: [UUID]
        let prompts: [UUID]
        let subjectPrompts: [UUID]
        let negative: UUID

        func tasks(_ stage: Stage) -> [PlannedTask] { tasks.filter { $0.stage == stage } }

        var encodedPhotos: [UUID] {
            tasks.compactMap { if case .encodePhoto(let photo) = $0.payload { photo } else { nil } }
        }
        var encodedPrompts: [UUID] {
            tasks.compactMap { if case .encodePrompt(let prompt, _) = $0.payload { prompt } else { nil } }
        }
        var pictures: [TaskPayload.Picture] {
            tasks.compactMap { if case .denoise(let picture) = $0.payload { picture } else { nil } }
        }
        var aggregations: [TaskPayload.Aggregation] {
            tasks.compactMap { if case .aggregate(let aggregation) = $0.payload { aggregation } else { nil } }
        }
        var evaluations: [TaskPayload.Evaluation] {
            tasks.compactMap { if case .evaluate(let evaluation) = $0.payload { evaluation } else { nil } }
        }
        /// The task that encodes a prompt.
        func encoder(of prompt: UUID) -> UUID? {
            tasks.first { if case .encodePrompt(prompt, _) = $0.payload { true } else { false } }?.id
        }
        /// The photos that these tasks encode.
        func photos(encodedBy ids: [UUID]) -> [UUID] {
            ids.compactMap { id in
                guard case .encodePhoto(let photo)? = tasks.first(where: { $0.id == id })?.payload else { return nil }
                return photo
            }
        }
    }

    private func plan(
        photos count: Int, prompts texts: [String] = ["a", "b"], methods: [String] = ["all"],
        negative: String? = nil, _ change: (inout GenerateRequest) -> Void = { _ in }
    ) throws -> Plan {
        var request = GenerateRequest(person: "Ada", methods: methods, prompts: texts)
        request.negativePrompt = negative
        change(&request)
        let order = try GenerateOrder(request)
        let photos = (0..<count).map { _ in UUID() }
        let prompts = order.prompts.map { _ in UUID() }
        let negative = order.prompts.firstIndex(of: order.negativePrompt).map { prompts[$0] } ?? UUID()
        let subjectPrompts = order.prompts.map { _ in UUID() }
        let planner = JobPlanner(
            order: order, photos: photos, prompts: prompts, subjectPrompts: subjectPrompts, negativePrompt: negative)
        let (tasks, notices) = try planner.plan(person: "Ada", id: UUID())
        return Plan(
            tasks: tasks, notices: notices, photos: photos, prompts: prompts, subjectPrompts: subjectPrompts,
            negative: negative)
    }

    @Test func aWholeJobOfTheFiveMethods() throws {
        let plan = try plan(photos: 12) { ($0.pictures, $0.seed) = (3, 100) }
        // 9 references of 12; 2 prompts, the same for DreamBooth with its identifier, and the empty negative one.
        #expect(plan.tasks(.encode).count == 9 + 5)
        #expect(plan.tasks(.aggregate).count == 4)
        #expect(plan.tasks(.denoise).count == 5 * 2 * 3)
        #expect(plan.tasks(.evaluate).count == 1)
        #expect(
            plan.tasks(.train).map(\.payload) == [
                .train(.init(method: .dreambooth, photos: Array(plan.photos.prefix(9))))
            ])
        #expect(plan.encodedPhotos == Array(plan.photos.prefix(9)))
        #expect(Set(plan.encodedPrompts) == Set(plan.prompts + plan.subjectPrompts + [plan.negative]))

        let evaluation = try #require(plan.evaluations.first)
        #expect(evaluation.references == Array(plan.photos.prefix(9)))
        #expect(evaluation.unseen == Array(plan.photos.suffix(3)))
    }

    @Test func everyTaskWaitsForWhatItUses() throws {
        let plan = try plan(photos: 4) { $0.pictures = 2 }
        #expect(plan.tasks(.encode).allSatisfy { $0.dependsOn.isEmpty })
        for task in plan.tasks(.aggregate) {
            guard case .aggregate(let aggregation) = task.payload else { continue }
            #expect(task.dependsOn == aggregation.embeddings)
        }
        for task in plan.tasks(.denoise) {
            guard case .denoise(let picture) = task.payload else { continue }
            let isOwn = picture.method == .dreambooth
            #expect((picture.conditioning == nil) == isOwn && (picture.weights == nil) != isOwn)
            let prepare = try #require(picture.conditioning ?? picture.weights)
            #expect(task.dependsOn == [prepare, picture.promptEmbedding, picture.negativePromptEmbedding])
            let place = try #require(plan.prompts.firstIndex(of: picture.prompt))
            let read = isOwn ? plan.subjectPrompts[place] : picture.prompt
            #expect(picture.promptEmbedding == plan.encoder(of: read))
            #expect(picture.negativePromptEmbedding == plan.encoder(of: plan.negative))
            switch plan.tasks.first(where: { $0.id == prepare })?.payload {
            case .aggregate(let aggregation): #expect(aggregation.method == picture.method)
            case .train(let training): #expect(training.method == picture.method)
            default: Issue.record("\(picture.method.rawValue) waits for neither tokens nor weights")
            }
        }
        let evaluate = try #require(plan.tasks(.evaluate).first)
        #expect(Set(evaluate.dependsOn) == Set(plan.tasks(.denoise).map(\.id)))
    }

    /// Postgres inserts tasks in order and a dependency must be there: nothing refers forward, no id comes twice.
    @Test func tasksComeAfterWhatTheyWaitFor() throws {
        let plan = try plan(photos: 5)
        var known: Set<UUID> = []
        for task in plan.tasks {
            #expect(task.dependsOn.allSatisfy { known.contains($0) })
            #expect(known.insert(task.id).inserted)
        }
    }

    @Test func methodsLookAtThePhotosTheyNeed() throws {
        let plan = try plan(photos: 3, methods: Method.allCases.map(\.rawValue))
        #expect(plan.aggregations.map(\.method) == Method.allCases.filter { !$0.isFineTuned })
        for aggregation in plan.aggregations {
            let expected = aggregation.method == .ipAdapter ? Array(plan.photos.prefix(1)) : plan.photos
            #expect(plan.photos(encodedBy: aggregation.embeddings) == expected)
        }
    }

    @Test func photosThatNoMethodUsesAreNotEncoded() throws {
        let plan = try plan(photos: 6, methods: ["ip-adapter"])
        #expect(plan.encodedPhotos == [plan.photos[0]])
        #expect(plan.evaluations.first?.references.count == 6)
    }

    @Test func pictureIHasSeedPlusIForEveryMethodAndPrompt() throws {
        let plan = try plan(photos: 3) { ($0.pictures, $0.seed) = (3, .max - 1) }
        for method in Method.paper {
            for prompt in plan.prompts {
                let pictures = plan.pictures.filter { $0.method == method && $0.prompt == prompt }
                #expect(pictures.map(\.index) == [0, 1, 2])
                #expect(pictures.map(\.seed) == [.max - 1, .max, 0])
            }
        }
        #expect(plan.aggregations.allSatisfy { $0.seed == .max - 1 })
    }

    @Test func everyTaskIsToldWhatItNeeds() throws {
        let plan = try plan(photos: 3, methods: ["ip-adapter-max", "ip-adapter-avg"], negative: "no") {
            ($0.seeds, $0.photoWeights, $0.clipSkip) = ([9, 3], [1, 2], 1)
            ($0.loras, $0.ipAdapterEnd) = ([LoRAUse(name: "a", weight: 0.5)], 0.5)
        }
        let reading = PromptReading(clipSkip: 1, loras: [LoRAUse(name: "a", weight: 0.5)])
        for case .encodePrompt(let prompt, let how) in plan.tasks.map(\.payload) {
            #expect(how == (prompt == plan.negative ? PromptReading(loras: reading.loras) : reading))
        }
        // A prompt that is also the negative one is then read in two ways.
        #expect(
            try self.plan(photos: 2, prompts: ["a"], methods: ["ip-adapter"], negative: "a") { $0.clipSkip = 1 }
                .encodedPrompts.count == 2)
        #expect(plan.aggregations.allSatisfy { $0.weights == [1, 2] && $0.embeddings.count == 2 })
        #expect(plan.pictures.map(\.seed) == [9, 3, 9, 3, 9, 3, 9, 3])
        #expect(plan.pictures.allSatisfy { $0.reading == reading && $0.sampling.ipAdapterEnd == 0.5 })
        #expect(plan.pictures.allSatisfy { $0.caption?.negativePrompt == "no" && $0.caption?.photoWeights == [1, 2] })
        let silent = try self.plan(photos: 2) { $0.embedParameters = false }
        #expect(silent.pictures.allSatisfy { $0.caption == nil && $0.reading == nil })
    }

    @Test func aNegativePromptThatIsAlsoAPromptIsEncodedOnce() throws {
        let plan = try plan(photos: 2, prompts: ["a", "b"], negative: "b")
        #expect(plan.encodedPrompts.filter { !plan.subjectPrompts.contains($0) } == plan.prompts)
        #expect(plan.pictures.allSatisfy { $0.negativePromptEmbedding == plan.encoder(of: plan.prompts[1]) })
    }

    @Test func fewerReferencesLeaveMorePhotosUnseen() throws {
        let plan = try plan(photos: 5) { $0.references = 2 }
        #expect(plan.encodedPhotos == Array(plan.photos.prefix(2)))
        #expect(plan.evaluations.first?.unseen == Array(plan.photos.suffix(3)))
        // Identity similarity can be had: nothing to say.
        #expect(plan.notices.isEmpty)
    }

    @Test func saysWhenNoPhotoIsLeftToScore() throws {
        let plan = try plan(photos: 9, methods: ["ip-adapter-max"])
        #expect(plan.notices.count == 1)
        #expect(plan.notices.first?.contains("identity similarity") == true)
    }

    @Test func withoutEvaluationNothingIsSaidOfScores() throws {
        let plan = try plan(photos: 2, methods: ["ip-adapter-max"]) { $0.evaluate = false }
        #expect(plan.tasks(.evaluate).isEmpty)
        #expect(plan.notices.isEmpty)
    }

    @Test func promptsAreReadWithTheIdentifierByFineTunedModelsOnly() throws {
        let without = try plan(photos: 3, methods: ["ip-adapter", "ip-adapter-avg"])
        #expect(Set(without.encodedPrompts).isDisjoint(with: without.subjectPrompts))
        let only = try plan(photos: 3, methods: ["dreambooth", "dreambooth-lora"])
        #expect(Set(only.encodedPrompts) == Set(only.subjectPrompts + [only.negative]))
        #expect(only.encodedPhotos.isEmpty && only.tasks(.train).count == 2)
    }

    @Test func aPersonWithOnePhotoIsToldWhatThatMeans() throws {
        let plan = try plan(photos: 1)
        #expect(plan.notices.contains { $0.contains("one reference photo") && !$0.contains("\n") })
        #expect(try self.plan(photos: 2) { $0.references = 2 }.notices.allSatisfy { !$0.contains("one reference") })
    }

    @Test func aPersonWithoutPhotosIsRefused() throws {
        let error = try #require(throws: APIError.self) { try plan(photos: 0) }
        #expect(error.status == 409)
        #expect(error.error.contains("Ada has no photos"))
        #expect(error.remedy.contains("person add"))
    }

    @Test func moreReferencesThanPhotosAreRefused() throws {
        let error = try #require(throws: APIError.self) { try plan(photos: 3) { $0.references = 4 } }
        #expect(error.status == 409)
        #expect(error.error.contains("3 photo"))
    }
}
