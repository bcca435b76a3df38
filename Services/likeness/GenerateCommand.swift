import ArgumentParser
import Contracts
import Foundation

/// `likeness generate`: queues pictures of a person.
struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Queues pictures of a person, by one or several methods.")

    @Option(help: "The person's name or id.") var person: String
    @Option(help: "Methods, separated by commas: \(names). all stands for the paper's five.")
    var method = "all"
    @Option(help: "What to show; give it several times for several prompts.") var prompt: [String]
    @Option(help: "What not to show.") var negativePrompt: String?
    @Option(help: "Pictures for each method and prompt.") var pictures: Int?
    @Option(help: "Seed of the first picture; each further one adds 1, the same for all methods.") var seed: UInt64?
    @Option(help: "Denoising steps.") var steps: Int?
    @Option(help: "Weight w of classifier-free guidance.") var guidance: Double?
    @Option(help: "Weight λ of the photos (decoupled cross-attention).") var scale: Double?
    @Option(help: "Sampler: \(SchedulerName.allCases.map(\.rawValue).joined(separator: ", ")).") var scheduler: String?
    @Option(help: "Pixels; the model's own size unless given.") var width: Int?
    @Option(help: "Pixels; the model's own size unless given.") var height: Int?
    @Option(help: "How many of the person's photos to show to the methods (1 to 9); the rest only score.")
    var references: Int?
    @Flag(help: "Make neither scores nor a contact sheet.") var noEvaluation = false
    @Option(help: "A name for this request: sent again, it finds the job that is there.") var idempotencyKey: String?
    @Flag(help: "Show progress until the job has ended.") var watch = false
    @Option(help: "Then fetch pictures, contact sheet and scores into this folder (implies --watch).") var out: String?

    private static let names = Method.allCases.map(\.rawValue).joined(separator: ", ")

    func validate() throws {
        for (name, value) in [("--guidance", guidance), ("--scale", scale)] {
            if let value, !value.isFinite { throw ValidationError("\(name) is \(value): give a finite number") }
        }
    }

    func run() async throws {
        let methods = method.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        var request = GenerateRequest(person: person, methods: methods, prompts: prompt)
        (request.negativePrompt, request.pictures, request.seed) = (negativePrompt, pictures, seed)
        (request.scheduler, request.steps, request.width, request.height) = (scheduler, steps, width, height)
        (request.guidanceScale, request.ipAdapterScale, request.references) = (guidance, scale, references)
        request.evaluate = noEvaluation ? false : nil

        let client = try GatewayClient()
        let headers = idempotencyKey.map { ["Idempotency-Key": $0] } ?? [:]
        let job: JobView = try await client.post(["v1", "jobs"], request, headers: headers)
        print("job \(job.id.uuidString.lowercased()): \(job.stages.reduce(0) { $0 + $1.total }) tasks queued")
        guard watch || out != nil else {
            print("watch it with: likeness jobs watch \(job.id.uuidString.lowercased())")
            return
        }
        let ended = try await JobWatch(client: client).untilEnd(of: job.id)
        if let out { try await JobFetch(client: client, folder: URL(filePath: out)).fetch(ended) }
        guard ended.state == .done else { throw ExitCode.failure }
    }
}
