import Contracts
import Foundation
import Store
import Testing

/// People's own weights: made once, and their pictures go where they are loaded.
@Suite struct WeightsTests {
    @Test func picturesGoToTheWorkerThatHasTheirWeightsLoaded() async throws {
        try await withDatabase { database in
            let ann = try await database.acceptFineTuned(weights: "ann", pictures: 3)
            let bob = try await database.acceptFineTuned(weights: "bob", pictures: 3)
            try await database.isAlive("denoiser-a", loaded: ["ann"])
            try await database.isAlive("denoiser-b", loaded: ["bob"])
            // Messages come in the order of the queue, whoever takes them.
            func next(_ worker: String, _ loaded: [String]) async throws -> UUID? {
                let outcome = try await database.claim(
                    task: ann[0], anyOf: .denoise, worker: worker, lease: .seconds(60), loaded: loaded)
                guard case .claimed(let claim) = outcome else { return nil }
                return claim.task
            }
            #expect(try await next("denoiser-b", ["bob"]) == bob[0])
            #expect(try await next("denoiser-a", ["ann"]) == ann[0])
            #expect(try await next("denoiser-b", ["bob"]) == bob[1])
            #expect(try await next("denoiser-b", ["bob"]) == bob[2])
            // Nothing of its own is left: it helps the other one.
            #expect(try await next("denoiser-b", ["bob"]) == ann[1])
            #expect(try await next("denoiser-a", ["ann"]) == ann[2])
            #expect(try await next("denoiser-a", ["ann"]) == nil)
        }
    }

    @Test func aWorkerWithNothingLoadedLeavesPeopleToThoseWhoHaveThem() async throws {
        try await withDatabase { database in
            let ann = try await database.acceptFineTuned(weights: "ann", pictures: 2)
            let plain = try await database.acceptJob(pictures: 1)
            _ = try await database.complete(database.claimed(plain.encode))
            try await database.isAlive("denoiser-a", loaded: ["ann"])
            let claims = try await (0..<3).asyncMap { _ in
                try await database.claim(task: ann[0], anyOf: .denoise, worker: "denoiser-c", lease: .seconds(60))
            }
            let order = claims.compactMap { outcome in
                if case .claimed(let claim) = outcome { claim.task } else { nil }
            }
            #expect(order == [plain.denoise[0]] + ann)
        }
    }

    @Test func everyMessageTakesOneTaskOutUntilNoneIsLeft() async throws {
        try await withDatabase { database in
            let tasks = try await database.acceptFineTuned(weights: "ann", pictures: 40)
            let claimed = try await withThrowingTaskGroup(of: UUID?.self) { group in
                for (i, task) in tasks.enumerated() {
                    group.addTask {
                        // Both a message that comes twice and a task that is being claimed elsewhere.
                        let outcome = try await database.claim(
                            task: task, anyOf: .denoise, worker: "w\(i % 4)", lease: .seconds(60),
                            loaded: i % 2 == 0 ? ["ann"] : [])
                        if case .claimed(let claim) = outcome { return claim.task } else { return nil }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }.compactMap { $0 }
            }
            #expect(Set(claimed) == Set(tasks) && claimed.count == tasks.count)
        }
    }

    @Test func aMessageWhoseOwnTaskIsGoneStandsForAnotherOfItsStage() async throws {
        try await withDatabase { database in
            let tasks = try await database.acceptFineTuned(weights: "ann", pictures: 1)
            let outcome = try await database.claim(task: UUID(), anyOf: .denoise, worker: "w", lease: .seconds(60))
            guard case .claimed(let claim) = outcome else {
                Issue.record("nothing was claimed")
                return
            }
            #expect(claim.task == tasks[0])
        }
    }

    @Test func aTaskThatIsToBeTriedLaterIsNotTakenEarlier() async throws {
        try await withDatabase { database in
            let tasks = try await database.acceptFineTuned(weights: "ann", pictures: 1)
            let claim = try await database.claimed(tasks[0])
            #expect(try await database.fail(claim, error: "no", retryAfter: .seconds(60)))
            let other = try await database.acceptFineTuned(weights: "bob", pictures: 1)
            let outcome = try await database.claim(
                task: other[0], anyOf: .denoise, worker: "w", lease: .seconds(60), loaded: ["ann"])
            guard case .claimed(let second) = outcome else {
                Issue.record("nothing was claimed")
                return
            }
            #expect(second.task == other[0])
        }
    }

    @Test func theLogOfARunThatWentOnHasEachStepOnce() async throws {
        try await withDatabase { database in
            let person = try await database.createPerson(name: "Ann")
            let train = PlannedTask(payload: .train(.init(method: .dreambooth, photos: [])))
            let request = GenerateRequest(person: "Ann", methods: ["dreambooth"], prompts: ["x"])
            let job = try await database.accept(
                JobPlan(person: person.id, request: request, idempotencyKey: nil, tasks: [train]))
            func line(_ step: Int, loss: Double) -> TrainingView {
                TrainingView(
                    task: train.id, part: "dreambooth", step: step, steps: 40, loss: loss, imagesPerSecond: 8,
                    secondsLeft: 3)
            }
            for entry in [line(20, loss: 0.5), line(40, loss: 0.4), line(40, loss: 0.3)] {
                try await database.logTraining(entry)
            }
            #expect(try await database.trainingLog(job) == [line(20, loss: 0.5), line(40, loss: 0.3)])
            #expect(try await database.trainingLog(UUID()) == nil)
        }
    }

    @Test func weightsAreFoundAgainByTheirRecipe() async throws {
        try await withDatabase { database in
            let person = try await database.createPerson(name: "Ann")
            let train = PlannedTask(payload: .train(.init(method: .dreambooth, photos: [])))
            let request = GenerateRequest(person: "Ann", methods: ["dreambooth"], prompts: ["x"])
            _ = try await database.accept(
                JobPlan(person: person.id, request: request, idempotencyKey: nil, tasks: [train]))
            #expect(try await database.fineTunedWeights(recipe: "r") == nil)
            let claim = try await database.claimed(train.id)
            #expect(
                try await database.complete(claim) { transaction in
                    try await transaction.saveFineTunedWeights(
                        recipe: "r", method: .dreambooth, task: train.id, objectKey: "key")
                })
            #expect(try await database.fineTunedWeights(recipe: "r") == "key")
        }
    }
}

extension Database {
    /// A job whose pictures need weights that have been made and are stored under this key; all of them are queued.
    fileprivate func acceptFineTuned(weights key: String, pictures: Int) async throws -> [UUID] {
        let person = try await createPerson(name: key)
        let prompt = try await upsertPrompt("a photo of a sks person")
        let train = PlannedTask(payload: .train(.init(method: .dreambooth, photos: [])))
        let denoise = (0..<pictures).map { index in
            PlannedTask(
                payload: .denoise(
                    .init(
                        method: .dreambooth, weights: train.id, prompt: prompt.id, promptEmbedding: train.id,
                        negativePromptEmbedding: train.id, index: index, seed: 1, sampling: Sampling())),
                dependsOn: [train.id])
        }
        let request = GenerateRequest(person: key, methods: ["dreambooth"], prompts: [prompt.text])
        _ = try await accept(
            JobPlan(person: person.id, request: request, idempotencyKey: nil, tasks: [train] + denoise))
        let result = try JSONEncoder.likeness.encode(TaskResult(objectKey: key, model: key))
        #expect(try await complete(claimed(train.id), result: result))
        return denoise.map(\.id)
    }

    fileprivate func isAlive(_ worker: String, loaded: [String]) async throws {
        try await heartbeat(
            worker: worker, service: "denoiser", host: "h", pid: 1, state: "idle", activity: nil, tasksDone: 0,
            loaded: loaded)
    }
}

extension Sequence where Element: Sendable {
    fileprivate func asyncMap<T>(_ body: (Element) async throws -> T) async rethrows -> [T] {
        var result: [T] = []
        for element in self { result.append(try await body(element)) }
        return result
    }
}
