import Foundation
import Messaging
import TestSupport
import Testing

/// What happens when the broker itself goes away. It has one of its own, so that no other test notices.
@Suite(.serialized) struct OutageTests {
    private static let servers = PrivateServers(portBase: 28_000)

    /// Publishes every text, each again and again until it is confirmed.
    private static func publishStubbornly(_ texts: [String], _ connection: TestBroker) async throws {
        for text in texts {
            while true {
                do {
                    try await connection.publish([text])
                    break
                } catch let error as BrokerError where error.isRetryable {
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
        }
    }

    /// Takes and acks deliveries until every text was seen.
    private static func consume(_ texts: Set<String>, _ connection: TestBroker) async throws -> Set<String> {
        let deliveries = connection.broker.consume(connection.queue, prefetch: 5)
        var missing = texts
        while !missing.isEmpty {
            let delivery = try await deliveries.one()
            if await delivery.ack() == .sent { missing.remove(delivery.text) }
        }
        return texts
    }

    @Test func aRestartOrCrashLosesNothing() async throws {
        try await Self.servers.withServers(only: .rabbitmq) { servers in
            let url = try await servers.address("LIKENESS_AMQP_URL")
            try await withBroker("outage", url: url) { connection in
                let texts = (0..<3000).map { "message \($0)" }
                async let published: Void = Self.publishStubbornly(texts, connection)
                async let seen = Self.consume(Set(texts), connection)
                try await servers.stop(.rabbitmq)
                try await servers.start(.rabbitmq)
                try await connection.broker.ready(within: .seconds(60))
                try await servers.kill(.rabbitmq)
                try await servers.start(.rabbitmq)
                try await published
                #expect(try await seen.count == 3000)
                try await connection.expectReady(0)
            }
        }
    }

    @Test func tlsWorksAndChecksTheCertificate() async throws {
        let folder = URL(filePath: "/tmp").appending(path: uniqueName("tls"))
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let certificate = folder.appending(path: "certificate.pem").path
        let key = folder.appending(path: "key.pem").path
        try await runCommand([
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate,
        ])
        try await runCommand(["chmod", "-R", "a+rX", folder.path])
        try await Self.servers.withServers(only: .rabbitmq) { servers in
            try await servers.rabbitmqctl(
                "eval",
                "{ok, _} = application:ensure_all_started(ssl), "
                    + "rabbit_networking:start_ssl_listener({\"127.0.0.1\", 28671}, "
                    + "[{certfile, \"\(certificate)\"}, {keyfile, \"\(key)\"}], 2).")
            let url = "amqps://guest:guest@localhost:28671/?cacertfile=\(certificate)"
            let management = try await ManagementAPI(amqpURL: servers.address("LIKENESS_AMQP_URL"))
            try await withBroker("tls", url: url, management: management) { connection in
                try await connection.publish(["secret"])
                let deliveries = connection.broker.consume(connection.queue, prefetch: 1)
                #expect(try await deliveries.one().text == "secret")
            }
            // The system's authorities have not signed this certificate.
            let untrusted = await #expect(throws: BrokerError.self) {
                try await withBroker("tls", url: "amqps://guest:guest@localhost:28671/", patience: .seconds(2)) { _ in }
            }
            #expect(untrusted?.description.contains("certificate") == true, "\(untrusted?.description ?? "")")
        }
        try FileManager.default.removeItem(at: folder)
    }
}
