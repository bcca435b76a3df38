import ArgumentParser
import Contracts
import Foundation

/// `likeness evaluate`: a job's scores.
struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Prints a job's scores, in the row order of the paper's Table 1.")

    @Argument(help: "The job's id.") var job: String

    func run() async throws {
        let client = try GatewayClient()
        let job: JobView = try await client.get(["v1", "jobs", job])
        let results: JobResults = try await client.get(["v1", "jobs", job.id.uuidString, "results"])
        guard !results.metrics.isEmpty else {
            throw UserError(
                "job \(job.id.uuidString.lowercased()) has no scores (\(job.state.rawValue))",
                remedy: job.state.isFinal
                    ? "queue one without --no-evaluation"
                    : "wait for its end: likeness jobs watch \(job.id.uuidString.lowercased())")
        }
        print(ScoreTable(results).text)
        for notice in job.notices { print("note: \(notice)") }
    }
}
