import ArgumentParser
import Contracts
import Foundation

/// `likeness generate`: queues pictures of a person.
struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Queues pictures of a person, by one or several methods.")

    @Option(help: "The person's name or id.") var person: [String]
    @Option(help: "Methods, separated by commas: \(names). all stands for the paper's five.")
    var method = "all"
    @Option(help: "What to show; give it several times for several prompts.") var prompt: [String]
    @Option(help: "What not to show.") var negativePrompt: String?
    @Option(help: "Pictures for each method and prompt; 1 unless given.") var pictures: Int?
    @Option(help: "Seed of the first picture (0 unless given); each further one adds 1, the same for all methods.")
    var seed: UInt64?
    @Option(help: "The seed of each picture, separated by commas, in place of --pictures and --seed.")
    var seeds: String?
    @Option(help: "Denoising steps, \(text(Limits.steps)); \(usual.steps) unless given.") var steps: Int?
    @Option(
        help:
            "Weight w of classifier-free guidance, \(text(Limits.guidanceScale)); \(usual.guidanceScale) unless given.")
    var guidance: Double?
    @Option(help: "Weight λ of the photos, \(text(Limits.ipAdapterScale)); \(usual.ipAdapterScale) unless given.")
    var scale: Double?
    @Option(help: "λ by layer as JSON: a list (down, mid, up), or {\"down\": 1, \"up\": {\"block_1\": 0.5}}.")
    var layerScales: String?
    @Option(help: "Fraction of the steps from which on the photos count; 0 unless given.") var adapterStart: Double?
    @Option(help: "Fraction of the steps up to which the photos count; 1 unless given.") var adapterEnd: Double?
    @Option(
        help: "How much each photo counts, \(text(Limits.photoWeight)), separated by commas (ip-adapter-max and -avg).")
    var photoWeights: String?
    @Option(help: "A PNG or JPEG file to change.") var initImage: String?
    @Option(help: "A PNG or JPEG file: white is drawn anew, black is kept.") var maskImage: String?
    @Option(help: "How much of --init-image is changed, from 0 to 1; 0.8 unless given, with a mask 1.") var strength:
        Double?
    @Option(
        help:
            "A LoRA of the models folder, NAME or NAME:WEIGHT (\(text(Limits.loraWeight))); may be given several times."
    ) var lora: [String] =
        []
    @Option(help: "Last layers of the text tower to leave out, \(text(Limits.clipSkip)).") var clipSkip: Int?
    @Option(
        help:
            "Sampler: \(SchedulerName.allCases.map(\.rawValue).joined(separator: ", ")); \(usual.scheduler.rawValue) unless given."
    )
    var scheduler: String?
    @Option(help: "Pixels, \(text(Limits.side)) by eights; the model's own size unless given.") var width: Int?
    @Option(help: "Pixels, \(text(Limits.side)) by eights; the model's own size unless given.") var height: Int?
    @Option(help: "How many of the person's photos to show to the methods (1 to 9); the rest only score.")
    var references: Int?
    @Flag(help: "Do not write into PNG files what they were made with.") var noParameters = false
    @Flag(help: "Make neither scores nor a contact sheet.") var noEvaluation = false
    @Option(help: "A name for this request: sent again, it finds the job that is there.") var idempotencyKey: String?
    @Flag(help: "Show progress until the job has ended.") var watch = false
    @Option(help: "Then fetch pictures, contact sheet and scores into this folder (implies --watch).") var out: String?

    /// What the gateway takes where nothing is said.
    private static let usual = Sampling()
    private static func text<T>(_ range: ClosedRange<T>) -> String { "\(range.lowerBound) to \(range.upperBound)" }
    private static let names = Method.allCases.map(\.rawValue).joined(separator: ", ")

    func validate() throws {
        guard person.count == 1 else {
            throw ValidationError(
                "--person is given \(person.count) times: a picture shows one person, so start a job for each")
        }
        for (name, value) in [
            ("--guidance", guidance), ("--scale", scale), ("--adapter-start", adapterStart),
            ("--adapter-end", adapterEnd),
            ("--strength", strength),
        ] {
            if let value, !value.isFinite { throw ValidationError("\(name) is \(value): give a finite number") }
        }
    }

    func run() async throws {
        let methods = method.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        var request = GenerateRequest(person: person[0], methods: methods, prompts: prompt)
        (request.negativePrompt, request.pictures, request.seed) = (negativePrompt, pictures, seed)
        (request.scheduler, request.steps, request.width, request.height) = (scheduler, steps, width, height)
        (request.guidanceScale, request.ipAdapterScale, request.references) = (guidance, scale, references)
        request.evaluate = noEvaluation ? false : nil
        request.embedParameters = noParameters ? false : nil
        (request.ipAdapterStart, request.ipAdapterEnd) = (adapterStart, adapterEnd)
        (request.strength, request.clipSkip) = (strength, clipSkip)
        request.seeds = try seeds.map { try Self.numbers($0, "--seeds") { UInt64($0) } }
        request.photoWeights = try photoWeights.map { try Self.numbers($0, "--photo-weights", Self.finite) }
        request.loras = lora.isEmpty ? nil : try lora.map(Self.lora)
        if let layerScales {
            do {
                request.ipAdapterScales = try JSONDecoder().decode(LayerScales.self, from: Data(layerScales.utf8))
            } catch {
                throw UserError(
                    "--layer-scales is '\(layerScales)'",
                    remedy: #"give JSON: a list of numbers, or {"down": 1, "mid": 1, "up": {"block_1": 0.5}}"#)
            }
        }

        let client = try GatewayClient()
        if let initImage { request.initImage = try await client.upload(initImage).objectKey }
        if let maskImage { request.maskImage = try await client.upload(maskImage).objectKey }
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
    private static func finite(_ text: String) -> Double? { Double(text).flatMap { $0.isFinite ? $0 : nil } }

    private static func numbers<T>(_ text: String, _ name: String, _ read: (String) -> T?) throws -> [T] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            let word = part.trimmingCharacters(in: .whitespaces)
            guard let number = read(word) else {
                throw UserError("\(name): '\(word)' is no number for it", remedy: "give numbers separated by commas")
            }
            return number
        }
    }

    /// NAME or NAME:WEIGHT; a name may hold colons itself.
    private static func lora(_ text: String) throws -> LoRAUse {
        guard let colon = text.lastIndex(of: ":") else { return LoRAUse(name: text) }
        guard let weight = finite(String(text[text.index(after: colon)...])) else {
            throw UserError("--lora is '\(text)'", remedy: "give NAME or NAME:WEIGHT, such as detail:0.8")
        }
        return LoRAUse(name: String(text[..<colon]), weight: weight)
    }
}
