import Foundation
import Synchronization
import TestSupport

/// All of Likeness as it is deployed: the built executables as processes, on a RabbitMQ and Postgres of their own.
struct Stack: Sendable {
    let servers: PrivateServers
    let folder: URL
    /// Where the first denoiser answers `/metrics`.
    let metricsPort: Int
    private let environment: [String: String]
    private let processes = Processes()

    final class Processes: Sendable {
        let running = Mutex<[String: Process]>([:])
    }

    /// Starts servers and services, registers a person with 12 photos, runs `body`, and ends everything.
    ///
    /// - Parameters:
    ///   - portBase: below 32000, from where on Linux gives ports to outgoing connections
    ///   - prepare: changes the models folder before any service starts; returns variables to set besides
    static func run(
        portBase: Int, prepare: @Sendable (_ models: URL) throws -> [String: String] = { _ in [:] },
        _ body: @Sendable (Stack) async throws -> Void
    ) async throws {
        try await PrivateServers(portBase: portBase).withServers { servers in
            let folder = FileManager.default.temporaryDirectory.appending(path: uniqueName("stack"))
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            var environment = try await servers.environment()
            environment["LIKENESS_OBJECTS"] = folder.appending(path: "objects").path
            environment["LIKENESS_TRAINING"] = folder.appending(path: "training").path
            environment["LIKENESS_MODELS"] = folder.appending(path: "models").path
            environment["LIKENESS_GATEWAY_PORT"] = String(portBase + 600)
            environment["LIKENESS_GATEWAY_URL"] = "http://127.0.0.1:\(portBase + 600)"
            environment["LIKENESS_LEASE_SECONDS"] = "5"
            environment["LIKENESS_THREADS"] = "1"
            let metricsPort = portBase + 601
            let bare = Stack(servers: servers, folder: folder, metricsPort: metricsPort, environment: environment)
            try await bare.likeness("model", "miniature", "--out", folder.appending(path: "models").path)
            environment.merge(try prepare(folder.appending(path: "models"))) { _, new in new }
            let stack = Stack(servers: servers, folder: folder, metricsPort: metricsPort, environment: environment)
            defer { stack.stopAll() }
            try await stack.likeness(
                "dataset", "render", "--out", folder.appending(path: "people").path, "--people", "1", "--photos", "12",
                "--size", "64", "--seed", "5")
            for service in ["gateway", "encoder", "aggregator", "denoiser", "evaluator", "trainer"] {
                try stack.start(service)
            }
            try await eventually("the gateway answers") { (try? await stack.likeness("status")) != nil }
            try await stack.likeness("person", "add", "Ann Lee", try stack.photos().path)
            try await body(stack)
            stack.stopAll()
            try FileManager.default.removeItem(at: folder)
        }
    }

    /// The models folder.
    var models: URL { folder.appending(path: "models") }

    /// The folder of the person's photos.
    func photos() throws -> URL {
        let people = folder.appending(path: "people")
        let names = try FileManager.default.contentsOfDirectory(atPath: people.path).filter { !$0.contains(".") }
        guard let name = names.first else { throw TestFailure("no person was rendered") }
        return people.appending(path: name)
    }

    /// Runs the command line tool; throws with its words if it fails.
    @discardableResult
    func likeness(_ arguments: String...) async throws -> String { try await likeness(arguments) }

    /// As above.
    @discardableResult
    func likeness(_ arguments: [String]) async throws -> String {
        try await runCommand([Self.executable("likeness").path] + arguments, environment: environment)
    }

    /// What the tool says of an input that it must refuse.
    func refusal(_ arguments: String...) async throws -> String { try await refusal(arguments) }

    /// As above.
    func refusal(_ arguments: [String]) async throws -> String {
        do {
            let said = try await likeness(arguments)
            throw Accepted(description: "accepted: \(said)")
        } catch let failure as TestFailure {
            return failure.description
        }
    }

    struct Accepted: Error, CustomStringConvertible { let description: String }

    /// Starts a service, under another name if there are to be several.
    func start(_ service: String, as name: String? = nil) throws {
        let process = Process()
        process.executableURL = Self.executable(service)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        if service == "denoiser", name == nil { process.environment?["LIKENESS_METRICS_PORT"] = String(metricsPort) }
        let log = folder.appending(path: "\(name ?? service).log")
        try Data().write(to: log)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: log)
        try process.run()
        processes.running.withLock { $0[name ?? service] = process }
    }

    /// Ends a service as `kill -9` does.
    func kill(_ name: String) {
        guard let process = processes.running.withLock({ $0.removeValue(forKey: name) }) else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    private func stopAll() {
        let all = processes.running.withLock { running in
            defer { running = [:] }
            return Array(running.values)
        }
        for process in all { process.terminate() }
        for process in all { process.waitUntilExit() }
    }

    /// Queues a job and returns its id without waiting.
    func queue(_ arguments: String...) async throws -> String {
        let said = try await likeness(
            ["generate", "--person", "Ann Lee", "--prompt", "a photo of a person"] + arguments)
        guard let id = said.firstMatch(of: /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.ignoresCase())?.output.0 else {
            throw TestFailure("no job id in: \(said)")
        }
        return String(id)
    }

    /// Waits for a job's end and fetches its results.
    func results(_ job: String) async throws -> Results {
        try await likeness("jobs", "watch", job)
        let out = folder.appending(path: "results-\(job)")
        try await likeness("jobs", "fetch", job, "--out", out.path)
        let pictures = out.appending(path: "pictures")
        let names = try FileManager.default.contentsOfDirectory(atPath: pictures.path)
        let files = try names.map { ($0, try Data(contentsOf: pictures.appending(path: $0))) }
        let json = try Data(contentsOf: out.appending(path: "pictures.json"))
        return Results(
            folder: out, files: Dictionary(uniqueKeysWithValues: files), workers: Set(try Results.workers(json)))
    }

    struct Results {
        let folder: URL
        /// Bytes of the pictures by file name.
        let files: [String: Data]
        /// Who made them.
        let workers: Set<String>

        static func workers(_ json: Data) throws -> [String] {
            struct Picture: Decodable { var worker: String }
            return try JSONDecoder().decode([Picture].self, from: json).map(\.worker)
        }
    }

    /// An executable of this build, beside the tests.
    static func executable(_ name: String) -> URL {
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let beside = folder.appending(path: name)
        if FileManager.default.isExecutableFile(atPath: beside.path) { return beside }
        return TestServers.repository.appending(path: ".build/release/\(name)")
    }
}
