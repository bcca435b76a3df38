import ArgumentParser
import Contracts
import Foundation

/// `likeness train submit`: the same training as `train all`, by the queue's trainers.
struct TrainSubmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Queues a training run; trainers work in their LIKENESS_TRAINING/runs/NAME.",
        discussion: "Follow it with: likeness jobs training JOB. Parts: \(parts).")

    private static let parts = CurriculumStage.allCases.map(\.rawValue).joined(separator: ", ")

    @Option(help: "The run's name: lowercase letters, digits, hyphens.") var name: String
    @Option(help: "First part; what comes before it must be in the run's model folder.") var from: String?
    @Option(help: "Last part.") var until: String?
    @Option(help: "Data set in LFW's layout on the trainers' machine; rendered people if not given.") var people:
        String?
    @Option(help: "Seed of data, weights and batches.") var seed: UInt64?
    @Option(help: "Rendered people of the methods' data set.") var renderedPeople: Int?
    @Option(help: "Rendered people for pre-training.") var pretrainingPeople: Int?
    @Option(help: "Updates of a part, as part=number; may be repeated.") var steps: [String] = []
    @Option(help: "What is read of self-attention: self-attention, self-attention-max or self-attention-avg.")
    var readout: String?
    @Option(help: "A name for this request: sent again, it finds the job that is there.") var idempotencyKey: String?
    @Flag(help: "Show progress until the run has ended.") var watch = false

    func run() async throws {
        var request = TrainingRequest(run: name)
        (request.from, request.until, request.people, request.seed) = (from, until, people, seed)
        (request.renderedPeople, request.pretrainingPeople) = (renderedPeople, pretrainingPeople)
        request.readout = readout
        for text in steps {
            let parts = text.split(separator: "=")
            guard parts.count == 2, let number = Int(parts[1]) else {
                throw UserError("--steps \(text)", remedy: "write it as part=number, such as unet=5500")
            }
            request.steps = (request.steps ?? [:]).merging([String(parts[0]): number]) { $1 }
        }
        let client = try GatewayClient()
        let headers = idempotencyKey.map { ["Idempotency-Key": $0] } ?? [:]
        let job: JobView = try await client.post(["v1", "training"], request, headers: headers)
        let id = job.id.uuidString.lowercased()
        print("job \(id): \(job.stages.reduce(0) { $0 + $1.total }) parts queued; see likeness jobs training \(id)")
        guard watch else { return }
        guard try await JobWatch(client: client).untilEnd(of: job.id).state == .done else { throw ExitCode.failure }
    }
}
