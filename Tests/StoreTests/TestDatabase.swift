import Contracts
import Foundation
import Logging
import Store

/// A fresh, migrated database of its own on the server that LIKENESS_TEST_POSTGRES_URL names, dropped at the end.
func withDatabase(
    connections: Int = 6, _ body: @Sendable (Database) async throws -> Void
) async throws {
    let server = try serverURL()
    let name = "test_" + UUID().uuidString.lowercased().replacing("-", with: "")
    let admin = Database(url: server, connections: 1, logger: quiet)
    try await admin.administer("CREATE DATABASE \(name)")
    let database = Database(url: url(server, database: name), connections: connections, logger: quiet)
    let result: Result<Void, any Error>
    do {
        try await database.migrate()
        try await body(database)
        result = .success(())
    } catch {
        result = .failure(error)
    }
    await database.close()
    try await admin.administer("DROP DATABASE \(name) WITH (FORCE)")
    await admin.close()
    try result.get()
}

let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
}()

func serverURL() throws -> String {
    guard let url = ProcessInfo.processInfo.environment["LIKENESS_TEST_POSTGRES_URL"] else {
        throw StoreError.invalid("LIKENESS_TEST_POSTGRES_URL is not set: run the tests with deploy/test")
    }
    return url
}

/// The same server, another database.
func url(_ server: String, database: String) -> String {
    guard var components = URLComponents(string: server) else { return server }
    components.path = "/" + database
    return components.string ?? server
}

extension Database {
    /// A person with a job of `pictures` denoise tasks that wait for one encode task, and an evaluation after them.
    func acceptJob(pictures: Int, key: String? = nil) async throws -> TestJob {
        let person = try await createPerson(name: "Person \(UUID().uuidString)")
        let prompt = try await upsertPrompt("a photo of a person")
        let encode = PlannedTask(payload: .encodePrompt(prompt: prompt.id))
        let denoise = (0..<pictures).map { index in
            PlannedTask(
                payload: .denoise(
                    .init(
                        method: .ipAdapter, conditioning: nil, prompt: prompt.id, promptEmbedding: encode.id,
                        negativePromptEmbedding: encode.id, index: index, seed: .max - UInt64(index),
                        sampling: Sampling())),
                dependsOn: [encode.id])
        }
        let evaluate = PlannedTask(
            payload: .evaluate(.init(references: [], unseen: [])), dependsOn: denoise.map(\.id))
        let request = GenerateRequest(person: person.name, methods: ["ip-adapter"], prompts: [prompt.text])
        let plan = JobPlan(
            person: person.id, request: request, idempotencyKey: key, tasks: [encode] + denoise + [evaluate])
        let id = try await accept(plan)
        return TestJob(
            plan: plan, id: id, encode: encode.id, denoise: denoise.map(\.id), evaluate: evaluate.id, prompt: prompt)
    }

    func claimed(_ task: UUID, by worker: String = "w", lease: Duration = .seconds(60)) async throws -> Claim {
        guard case .claimed(let claim) = try await claim(task: task, worker: worker, lease: lease) else {
            throw StoreError.invalid("task \(task) could not be claimed")
        }
        return claim
    }

    /// The tasks of the messages that the outbox owes now, which are taken out of it.
    func drainOutbox() async throws -> [UUID] {
        let drained = Drained()
        _ = try await relayOutbox(limit: 10000) { messages in
            await drained.add(messages)
            return Set(messages.map(\.id))
        }
        return await drained.tasks
    }
}

struct TestJob: Sendable {
    let plan: JobPlan
    let id: UUID
    let encode: UUID
    let denoise: [UUID]
    let evaluate: UUID
    let prompt: PromptRow
}

actor Drained {
    private(set) var tasks: [UUID] = []

    func add(_ messages: [OutboxMessage]) {
        tasks += messages.compactMap { try? JSONDecoder.likeness.decode(TaskMessage.self, from: $0.body).task }
    }
}
