public import Contracts
import Foundation
import HTTPTypes
import Hummingbird
import Store

/// Training runs of the miniature family.
struct TrainingRoutes: Sendable {
    let database: Database

    var routes: [Route] { [Route(.post, "/v1/training") { request, _ in try await submit(request) }] }

    private func submit(_ http: Request) async throws -> Response {
        let key = try http.idempotencyKey()
        let request = try await http.decode(TrainingRequest.self, of: "the training run")
        let stages = try TrainingOrder(request).stages
        let job = UUID()
        let id: UUID
        do {
            id = try await database.accept(request, stages: stages, idempotencyKey: key, job: job)
        } catch let taken as TrainingRunUnderWay {
            throw APIError(
                409, "run '\(taken.run)' is under way as job \(taken.job.uuidString.lowercased())",
                remedy: "wait for it or cancel it, or use another name")
        }
        guard let view = try await database.job(id) else { throw APIError.noJob(id) }
        guard id == job || view.training == request else {
            throw APIError.usedKey(key, job: id)
        }
        return try .json(view, status: id == job ? .accepted : .ok)
    }
}

/// A checked request for a training run.
public struct TrainingOrder: Sendable {
    /// The parts to train, in order.
    public let stages: [CurriculumStage]

    /// Updates of a part.
    public static let steps = 1...1_000_000
    /// People of a rendered data set; the methods need someone to train and someone to test with.
    public static let people = 6...100_000

    /// Checks a request.
    /// - Throws: `APIError` (422) naming the field and the remedy
    public init(_ request: TrainingRequest) throws(APIError) {
        let allowed = CharacterSet(charactersIn: "abcdefghijklmnopqrstuvwxyz0123456789-")
        guard (1...64).contains(request.run.count), request.run.unicodeScalars.allSatisfy(allowed.contains),
            !request.run.hasPrefix("-")
        else {
            throw .invalid(
                "run is '\(request.run.prefix(100))'", remedy: "use 1 to 64 lowercase letters, digits and hyphens")
        }
        let first = try Self.stage(request.from, "from") ?? .vae
        let last = try Self.stage(request.until, "until") ?? .selfAttention
        let all = CurriculumStage.allCases
        guard let i = all.firstIndex(of: first), let j = all.firstIndex(of: last), i <= j else {
            throw .invalid(
                "from is \(first.rawValue) and until is \(last.rawValue), which comes before it",
                remedy: "keep the order \(all.map(\.rawValue).joined(separator: ", "))")
        }
        stages = Array(all[i...j])
        for (name, count) in request.steps ?? [:] {
            _ = try Self.stage(name, "steps")
            guard Self.steps.contains(count) else {
                throw .invalid("steps of \(name) is \(count)", remedy: "use 1 to \(Self.steps.upperBound)")
            }
        }
        for (name, count) in [
            ("pretraining_people", request.pretrainingPeople), ("rendered_people", request.renderedPeople),
        ] {
            if let count, !Self.people.contains(count) {
                throw .invalid(
                    "\(name) is \(count)", remedy: "use \(Self.people.lowerBound) to \(Self.people.upperBound)")
            }
        }
        if let people = request.people, !people.hasPrefix("/") || people.unicodeScalars.contains("\0") {
            throw .invalid(
                "people is '\(people.prefix(200))'",
                remedy: "give the whole path of the data set on the trainers' machine")
        }
        let readouts = ["self-attention", "self-attention-max", "self-attention-avg"]
        if let readout = request.readout, !readouts.contains(readout) {
            throw .invalid(
                "there is no readout '\(readout.prefix(100))'",
                remedy: "use one of: \(readouts.joined(separator: ", "))")
        }
    }

    private static func stage(_ name: String?, _ field: String) throws(APIError) -> CurriculumStage? {
        guard let name else { return nil }
        guard let stage = CurriculumStage(rawValue: name) else {
            let known = CurriculumStage.allCases.map(\.rawValue).joined(separator: ", ")
            throw .invalid("\(field): there is no part '\(name.prefix(100))'", remedy: "use one of: \(known)")
        }
        return stage
    }
}
