import Foundation

/// A RabbitMQ and a Postgres for one test suite, which may stop, kill and restart them: `deploy/servers` with its own
/// data folder and ports.
public struct PrivateServers: Sendable {
    /// One of the two.
    public enum Server: String, Sendable { case rabbitmq, postgres }

    private let data: URL
    private let portBase: Int

    /// Names an instance; nothing is started.
    /// - Parameter portBase: Unlike that of any other instance that may run at the same time.
    public init(portBase: Int) {
        self.portBase = portBase
        // Not within the repository or a home folder: the servers' users must be able to get there. deploy/test names a
        // folder, and stops what is left in it when a test run crashes.
        let folder = ProcessInfo.processInfo.environment["LIKENESS_TEST_SERVERS_DATA"]
        data = URL(filePath: folder ?? "/tmp").appending(path: "private-\(portBase)-\(getpid())")
    }

    /// Runs the body with servers up (both, or one of them), and removes them afterwards.
    public func withServers<Result>(
        only server: Server? = nil, _ body: (PrivateServers) async throws -> Result
    ) async throws -> Result {
        do {
            if let server { try await start(server) } else { try await run(["start"]) }
            let result = try await body(self)
            try await remove()
            return result
        } catch {
            try await remove()
            throw error
        }
    }

    private func remove() async throws {
        try await run(["stop"])
        try FileManager.default.removeItem(at: data)
    }

    /// Starts one server and waits until it answers.
    public func start(_ server: Server) async throws { try await run(["start-one", server.rawValue]) }
    /// Stops one server in an orderly way.
    public func stop(_ server: Server) async throws { try await run(["stop-one", server.rawValue]) }
    /// Ends one server as a crash would.
    public func kill(_ server: Server) async throws { try await run(["kill-one", server.rawValue]) }
    /// Runs `rabbitmqctl` on this instance and returns what it prints.
    @discardableResult
    public func rabbitmqctl(_ arguments: String...) async throws -> String {
        try await run(["ctl", "--quiet"] + arguments)
    }

    /// The addresses that services read from their environment.
    public func environment() async throws -> [String: String] {
        var environment: [String: String] = [:]
        for line in try await run(["env"]).split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { environment[parts[0]] = parts[1] }
        }
        return environment
    }

    /// The value of one of these addresses.
    public func address(_ variable: String) async throws -> String {
        guard let value = try await environment()[variable] else { throw TestFailure("no \(variable)") }
        return value
    }

    @discardableResult
    private func run(_ arguments: [String]) async throws -> String {
        try await runCommand(
            [TestServers.repository.appending(path: "deploy/servers").path, "--data", data.path] + arguments,
            environment: ["LIKENESS_PORT_BASE": String(portBase)])
    }
}

/// Runs a program to its end and returns its standard output.
/// - Throws: ``TestFailure`` with what it wrote to standard error, when its status is not 0.
@discardableResult
public func runCommand(_ command: [String], environment: [String: String] = [:]) async throws -> String {
    // A thread of its own: the cooperative pool must not wait for a program.
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
            continuation.resume(with: Result { try waitForCommand(command, environment: environment) })
        }
    }
}

private func waitForCommand(_ command: [String], environment: [String: String]) throws -> String {
    // Files rather than pipes: a server that the command starts would keep a pipe open.
    let folder = FileManager.default.temporaryDirectory.appending(path: uniqueName("command"))
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let (output, errors) = (folder.appending(path: "output"), folder.appending(path: "errors"))
    for file in [output, errors] { try Data().write(to: file) }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = command
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    process.waitUntilExit()
    let text = try String(contentsOf: output, encoding: .utf8)
    guard process.terminationStatus == 0 else {
        let complaint = try String(contentsOf: errors, encoding: .utf8)
        throw TestFailure("\(command.joined(separator: " ")): status \(process.terminationStatus)\n\(text)\(complaint)")
    }
    try FileManager.default.removeItem(at: folder)
    return text
}
