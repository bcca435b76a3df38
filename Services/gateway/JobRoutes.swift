import AddOnFiles
import Contracts
import Foundation
import HTTPTypes
import Hummingbird
import Prompts
import Store

/// Jobs: what was asked for, how far it is, and what came out.
struct JobRoutes: Sendable {
    let database: Database
    let objects: any ObjectStore
    let addOns: AddOnFiles

    var routes: [Route] {
        [
            Route(.get, "/v1/jobs") { request, _ in try await list(request) },
            Route(.post, "/v1/jobs") { request, _ in try await submit(request) },
            Route(.get, "/v1/jobs/{job}") { _, context in try await .json(view(context.id("job", of: "job"))) },
            Route(.post, "/v1/jobs/{job}/cancel") { _, context in try await cancel(context) },
            Route(.get, "/v1/jobs/{job}/results") { _, context in try await results(context) },
            Route(.get, "/v1/jobs/{job}/training") { _, context in try await training(context) },
        ]
    }

    private func list(_ request: Request) async throws -> Response {
        let text = request.uri.queryParameters["limit"].map(String.init) ?? "50"
        guard let limit = Int(text), (1...1_000).contains(limit) else {
            throw APIError.invalid("limit is '\(text.prefix(100))'", remedy: "use a whole number from 1 to 1000")
        }
        return try await .json(database.jobs(limit: limit))
    }

    /// Checks everything first; what cannot be done leaves no trace in the queue.
    private func submit(_ http: Request) async throws -> Response {
        let key = try http.idempotencyKey()
        let request = try await decode(http)
        var order = try GenerateOrder(request)
        try check(order.reading?.loras ?? [])
        if let change = order.sampling.change {
            let size = try await PictureSource(objects: objects).size(of: change)
            try order.fill(size)
        }
        // libpq ends a string at NUL: what follows it must not be lost on the way to a person of a shorter name.
        guard !request.person.unicodeScalars.contains("\0") else { throw APIError.noPerson(request.person) }
        guard let person = try await database.person(request.person) else {
            throw try await severalPeople(request.person) ?? APIError.noPerson(request.person)
        }
        let photos = try await database.photos(of: person.id).map(\.id)

        var prompts: [UUID] = []
        for text in order.prompts { prompts.append(try await database.upsertPrompt(text).id) }
        var subjectPrompts: [UUID] = []
        if order.methods.contains(where: \.isFineTuned) {
            for text in order.prompts {
                subjectPrompts.append(try await database.upsertPrompt(SubjectPrompt(text).text).id)
            }
        }
        let negative = try await database.upsertPrompt(order.negativePrompt).id
        let planner = JobPlanner(
            order: order, photos: photos, prompts: prompts, subjectPrompts: subjectPrompts, negativePrompt: negative)
        let (tasks, notices) = try planner.plan(person: person.name, id: person.id)

        let plan = JobPlan(
            person: person.id, request: request, idempotencyKey: key, notices: notices, tasks: tasks)
        let id = try await database.accept(plan)
        let job = try await view(id)
        guard id == plan.id || job.request == request else {
            throw APIError.usedKey(key, job: id)
        }
        return try .json(job, status: id == plan.id ? .accepted : .ok)
    }

    /// Refuses LoRAs that are not there. Where the gateway cannot see the models folder, the stages say so.
    private func check(_ loras: [LoRAUse]) throws(APIError) {
        guard !loras.isEmpty, FileManager.default.fileExists(atPath: addOns.models.path),
            let files = try? addOns.files(.loras)
        else { return }
        for lora in loras where files[lora.name] == nil {
            let words = addOns.unknownLoRA(lora.name, among: files)
            throw APIError.invalid(words.problem, remedy: words.remedy)
        }
    }

    /// The body. A list of people is refused in words of its own.
    private func decode(_ http: Request) async throws -> GenerateRequest {
        struct Several: Decodable {
            var person: [String]
        }
        let data = try await http.bytes(upTo: Limits.jsonBytes, of: "the job")
        do {
            return try APIError.decode(GenerateRequest.self, from: data, of: "the job")
        } catch {
            if let several = try? JSONDecoder.likeness.decode(Several.self, from: data) {
                throw APIError.severalPeople(several.person)
            }
            throw error
        }
    }

    /// Names put together, of people who are known: "Ada and Bob", "Ada, Bob", "Ada + Bob".
    private func severalPeople(_ text: String) async throws -> APIError? {
        let names = text.split(separator: /\s*(?:,|\+|&|\band\b)\s*/).map(String.init)
        guard (2...10).contains(names.count) else { return nil }
        for name in names where try await database.person(name) == nil { return nil }
        return .severalPeople(names)
    }

    private func view(_ id: UUID) async throws -> JobView {
        guard let job = try await database.job(id) else { throw APIError.noJob(id) }
        return job
    }

    private func cancel(_ context: Context) async throws -> Response {
        let id = try context.id("job", of: "job")
        guard let state = try await database.cancel(id) else { throw APIError.noJob(id) }
        guard state == .cancelled else {
            throw APIError(
                409, "job \(id.uuidString.lowercased()) is \(state.rawValue) already",
                remedy: "nothing is left to cancel")
        }
        return try await .json(view(id))
    }

    private func results(_ context: Context) async throws -> Response {
        let id = try context.id("job", of: "job")
        guard let results = try await database.results(id) else { throw APIError.noJob(id) }
        return try .json(results)
    }

    private func training(_ context: Context) async throws -> Response {
        let id = try context.id("job", of: "job")
        guard let log = try await database.trainingLog(id) else { throw APIError.noJob(id) }
        return try .json(log)
    }
}

extension APIError {
    static func severalPeople(_ names: [String]) -> APIError {
        .invalid(
            "person names several people (\(names.prefix(5).joined(separator: ", ").prefix(200))): a picture shows one person",
            remedy: "start a job for each of them")
    }

    static func noJob(_ id: UUID) -> APIError {
        APIError(404, "there is no job \(id.uuidString.lowercased())", remedy: "list them with likeness jobs list")
    }
}

extension Request {
    /// The client's name for this request, if it gave one.
    func idempotencyKey() throws -> String? {
        guard let name = HTTPField.Name("Idempotency-Key"), let key = headers[name] else { return nil }
        guard (1...200).contains(key.length) else {
            throw APIError(400, "Idempotency-Key has \(key.length) characters", remedy: "use 1 to 200")
        }
        return key
    }
}

extension APIError {
    /// The client's name for this request stands for another one.
    static func usedKey(_ key: String?, job: UUID) -> APIError {
        APIError(
            409, "Idempotency-Key '\(key ?? "")' was used for another request, job \(job.uuidString.lowercased())",
            remedy: "use a new key for a new request")
    }
}
