import ArgumentParser
import Contracts
import Foundation

/// `likeness jobs`: what was asked for and how far it is.
struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs", abstract: "Lists, watches, cancels and fetches jobs.",
        subcommands: [List.self, Show.self, Watch.self, Training.self, Cancel.self, Fetch.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the newest jobs.")

        @Option(help: "How many.") var limit = 20

        func run() async throws {
            let query = [URLQueryItem(name: "limit", value: String(limit))]
            let jobs: [JobView] = try await GatewayClient().get(["v1", "jobs"], query: query)
            let rows = jobs.map { job in
                let pictures = job.stages.first { $0.stage == .denoise }
                return [
                    job.id.uuidString.lowercased(), job.state.rawValue, job.person,
                    "\(pictures?.done ?? 0)/\(pictures?.total ?? 0)", job.createdAt.formatted(.iso8601),
                ]
            }
            print(TextTable(["JOB", "STATE", "PERSON", "PICTURES", "CREATED"], rows, right: [3]).text)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a job's request, notes and stages.")

        @Argument(help: "The job's id.") var job: String

        func run() async throws {
            let job: JobView = try await GatewayClient().get(["v1", "jobs", job])
            print("job \(job.id.uuidString.lowercased()) \(job.state.rawValue), \(job.person)")
            let encoder = JSONEncoder.likeness
            encoder.outputFormatting.insert(.prettyPrinted)
            let request = try job.training.map { try encoder.encode($0) } ?? encoder.encode(job.request)
            print(String(decoding: request, as: UTF8.self))
            for notice in job.notices { print("note: \(notice)") }
            for stage in job.stages { print(ProgressDisplay.bar(stage)) }
            if let error = job.error { print("first error: \(error)") }
        }
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows progress until the job has ended.")

        @Argument(help: "The job's id.") var job: String

        func run() async throws {
            let client = try GatewayClient()
            let job: JobView = try await client.get(["v1", "jobs", job])
            guard try await JobWatch(client: client).untilEnd(of: job.id).state == .done else {
                throw ExitCode.failure
            }
        }
    }

    struct Training: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows how a job's training goes: its log so far.")

        @Argument(help: "The job's id.") var job: String

        func run() async throws {
            let log: [TrainingView] = try await GatewayClient().get(["v1", "jobs", job, "training"])
            guard !log.isEmpty else { return print("no training so far; weights that are known are not made again") }
            let rows = log.map { line in
                [
                    line.part, "\(line.step)/\(line.steps)", String(format: "%.4f", line.loss),
                    String(format: "%.1f", line.imagesPerSecond), String(format: "%.0f", line.secondsLeft),
                ]
            }
            print(TextTable(["PART", "STEP", "LOSS", "PICTURES/S", "SECONDS LEFT"], rows, right: [1, 2, 3, 4]).text)
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stops what has not ended.")

        @Argument(help: "The job's id.") var job: String

        func run() async throws {
            let job: JobView = try await GatewayClient().post(["v1", "jobs", job, "cancel"])
            print("job \(job.id.uuidString.lowercased()) \(job.state.rawValue)")
        }
    }

    struct Fetch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Brings pictures, contact sheet and scores into a folder; files that are there stay.")

        @Argument(help: "The job's id.") var job: String
        @Option(help: "The folder.") var out: String

        func run() async throws {
            let client = try GatewayClient()
            let job: JobView = try await client.get(["v1", "jobs", job])
            try await JobFetch(client: client, folder: URL(filePath: out)).fetch(job)
        }
    }
}
