public import Foundation

/// The real servers that integration tests run against; `deploy/test` starts them and sets the variables.
public enum TestServers {
    /// A RabbitMQ that tests share: names of queues must be unique, and it is never stopped.
    public static var amqpURL: String { get throws { try variable("LIKENESS_TEST_AMQP_URL") } }
    /// A Postgres that tests share.
    public static var postgresURL: String { get throws { try variable("LIKENESS_TEST_POSTGRES_URL") } }

    private static func variable(_ name: String) throws -> String {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else {
            throw TestFailure("\(name) is not set: these tests need real servers; run deploy/test, which starts them")
        }
        return value
    }

    /// The repository's root folder.
    public static var repository: URL {
        URL(filePath: #filePath).resolvingSymlinksInPath()  // …/Tests/Support/TestServers.swift
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    }
}

/// Something that a test relies on did not hold; says what.
public struct TestFailure: Error, CustomStringConvertible {
    /// What did not hold.
    public let description: String

    /// Makes a failure.
    public init(_ description: String) { self.description = description }
}

/// A name that no other test uses, on this run or any other.
public func uniqueName(_ base: String) -> String {
    "test-\(base)-\(UUID().uuidString.lowercased().prefix(13))"
}

/// Returns once the condition holds. It has to come true some time; how long that takes is not what is tested, so the
/// limit is far beyond what a loaded machine needs.
public func eventually(
    _ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw TestFailure("\(what): not so within \(limit)") }
        try await Task.sleep(for: .milliseconds(50))
    }
}
