import Contracts
import Foundation
import FoundationNetworking
import Glibc
import Logging
import Store
import TestSupport

/// The real gateway, started as a process for one test, with a database, queues and objects of its own.
struct RunningGateway: Sendable {
    let base: URL
    let database: Database
    let prefix: String
    let objects: URL
    /// The models folder; made by tests that put something there.
    let models: URL

    struct Answer: Sendable {
        let status: Int
        let headers: [String: String]
        let body: Data

        func decode<T: Decodable>(_ type: T.Type = T.self) throws -> T {
            do { return try JSONDecoder.likeness.decode(type, from: body) } catch {
                throw TestFailure("\(status) \(text): \(error)")
            }
        }
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    /// - Parameter path: percent-encoded, from the slash on
    func send(
        _ method: String, _ path: String, _ body: Data? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        guard let url = URL(string: base.absoluteString + path) else { throw TestFailure("no path: \(path)") }
        var request = URLRequest(url: url, timeoutInterval: 120)
        request.httpMethod = method
        request.httpBody = body
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let session = URLSession(configuration: .ephemeral)
        defer { session.finishTasksAndInvalidate() }
        let (data, response) = try await session.data(for: request)
        guard let response = response as? HTTPURLResponse else { throw TestFailure("no HTTP answer to \(path)") }
        let fields = response.allHeaderFields.compactMap { key, value -> (String, String)? in
            guard let key = key as? String, let value = value as? String else { return nil }
            return (key.lowercased(), value)
        }
        return Answer(
            status: response.statusCode, headers: Dictionary(fields, uniquingKeysWith: { $1 }), body: data)
    }

    func get<T: Decodable>(_ path: String, as type: T.Type = T.self) async throws -> T {
        try await send("GET", path).decode()
    }

    func post(_ path: String, _ json: some Encodable, headers: [String: String] = [:]) async throws -> Answer {
        try await send("POST", path, JSONEncoder.likeness.encode(json), headers: headers)
    }

    /// Rows of a table of this gateway's database.
    func count(_ table: String) async throws -> Int {
        try await database.transaction { try await $0.query("SELECT count(*) AS n FROM \(table)") }
            .first?.get("n") ?? -1
    }
}

/// Which RabbitMQ and Postgres to use.
struct Servers {
    let amqp: String
    let postgres: String

    static var shared: Servers {
        get throws { try Servers(amqp: TestServers.amqpURL, postgres: TestServers.postgresURL) }
    }

    init(amqp: String, postgres: String) { (self.amqp, self.postgres) = (amqp, postgres) }

    init(_ servers: PrivateServers) async throws {
        amqp = try await servers.address("LIKENESS_AMQP_URL")
        postgres = try await servers.address("LIKENESS_POSTGRES_URL")
    }

    /// `deploy/servers` puts the management API one port further.
    var management: String {
        get throws {
            guard let url = URLComponents(string: amqp), let host = url.host, let port = url.port else {
                throw TestFailure("no host and port in \(amqp)")
            }
            return "http://\(host):\(port + 1)"
        }
    }
}

/// Runs the body with a gateway, ends that with SIGTERM, and removes what it left on the servers.
func withGateway(_ servers: Servers, _ body: (RunningGateway) async throws -> Void) async throws {
    let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let name = uniqueName("gateway").replacing("-", with: "_")
    let admin = Database(url: servers.postgres, connections: 1, logger: quiet)
    try await admin.administer("CREATE DATABASE \(name)")
    await admin.close()
    guard var address = URLComponents(string: servers.postgres) else {
        throw TestFailure("no URL: \(servers.postgres)")
    }
    address.path = "/" + name
    guard let postgres = address.string else { throw TestFailure("no URL for \(name)") }
    let folder = FileManager.default.temporaryDirectory.appending(path: name)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let log = folder.appending(path: "log")
    try Data().write(to: log)

    let port = try freePort()
    guard let base = URL(string: "http://127.0.0.1:\(port)") else { throw TestFailure("no URL for port \(port)") }
    let gateway = RunningGateway(
        base: base, database: Database(url: postgres, connections: 2, logger: quiet), prefix: name,
        objects: folder.appending(path: "objects"), models: folder.appending(path: "models"))
    let process = Process()
    // Built beside the tests.
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appending(path: "gateway")
    process.environment = ProcessInfo.processInfo.environment.merging([
        "LIKENESS_AMQP_URL": servers.amqp, "LIKENESS_POSTGRES_URL": postgres, "LIKENESS_QUEUE_PREFIX": name,
        "LIKENESS_RABBITMQ_MANAGEMENT_URL": try servers.management, "LIKENESS_OBJECTS": gateway.objects.path,
        "LIKENESS_MODELS": gateway.models.path, "LIKENESS_GATEWAY_HOST": "127.0.0.1",
        "LIKENESS_GATEWAY_PORT": String(port),
    ]) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: log)
    process.standardError = try FileHandle(forWritingTo: log)
    try process.run()

    var failure: (any Error)?
    do {
        try await eventually("the gateway listens") {
            guard process.isRunning else { throw TestFailure("the gateway ended with \(process.terminationStatus)") }
            do { return try await gateway.send("GET", "/readyz").status == 200 } catch is URLError { return false }
        }
        try await body(gateway)
    } catch { failure = error }
    process.terminate()
    try await eventually("the gateway ends after SIGTERM") { !process.isRunning }
    let (status, text) = (process.terminationStatus, try String(contentsOf: log, encoding: .utf8))
    await gateway.database.close()
    // A new connection: the test may have stopped the server that the first one was to.
    let remover = Database(url: servers.postgres, connections: 1, logger: quiet)
    try await remover.administer("DROP DATABASE \(name) WITH (FORCE)")
    await remover.close()
    let management = try ManagementAPI(amqpURL: servers.amqp)
    for queue in Stage.allCases.map(\.rawValue) + ["dead-letters"] {
        try await management.delete("queues/%2F/\(name).\(queue)")
    }
    for exchange in ["tasks", "dead"] { try await management.delete("exchanges/%2F/\(name).\(exchange)") }
    try FileManager.default.removeItem(at: folder)
    if let failure { throw TestFailure("\(failure)\nThe gateway's log:\n\(text)") }
    guard status == 0 else { throw TestFailure("the gateway ended with status \(status):\n\(text)") }
    guard !text.contains("request failed") else { throw TestFailure("an answer was 500:\n\(text)") }
}

/// A port that nobody listens on just now.
private func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw TestFailure("no socket") }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
        }
    }
    guard result else { throw TestFailure("no free port") }
    return Int(UInt16(bigEndian: address.sin_port))
}
