import Foundation
import Messaging
import TestSupport
import Testing

/// What happens when the broker itself goes away. It has one of its own, so that no other test notices.
@Suite(.serialized) struct OutageTests {
    private static let servers = PrivateServers(portBase: 28_000)

    /// Publishes numbered texts, each again and again until it is confirmed, until told to stop. Returns how many.
    private static func publishStubbornly(_ connection: TestBroker, until stopped: Progress) async throws -> Int {
        var number = 0
        while await !stopped.isSet {
            do {
                try await connection.publish(["\(number)"])
                number += 1
            } catch let error as BrokerError where error.isRetryable {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        return number
    }

    private actor Progress {
        private(set) var isSet = false
        private(set) var acknowledged: Set<String> = []

        func set() { isSet = true }
        func acknowledge(_ text: String) { acknowledged.insert(text) }
    }

    @Test func aRestartOrCrashLosesNothing() async throws {
        try await Self.servers.withServers(only: .rabbitmq) { servers in
            let url = try await servers.address("LIKENESS_AMQP_URL")
            try await withBroker("outage", url: url) { connection in
                let progress = Progress()
                let deliveries = connection.broker.consume(connection.queue, prefetch: 5)
                let consumer = Task {
                    for await delivery in deliveries where await delivery.ack() == .sent {
                        await progress.acknowledge(delivery.text)
                    }
                }
                async let published = Self.publishStubbornly(connection, until: progress)
                func expectTraffic() async throws {
                    let before = await progress.acknowledged.count
                    try await eventually("messages flow") { await progress.acknowledged.count > before + 20 }
                }
                try await expectTraffic()
                try await servers.stop(.rabbitmq)
                try await servers.start(.rabbitmq)
                try await expectTraffic()
                try await servers.kill(.rabbitmq)
                try await servers.start(.rabbitmq)
                try await expectTraffic()
                await progress.set()
                let expected = Set(try await (0..<published).map(String.init))
                try await eventually("all that was confirmed arrives") { await progress.acknowledged == expected }
                try await connection.expectReady(0)
                await deliveries.stop()
                await consumer.value
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
            #expect(untrusted?.description.contains("verification failed") == true)
        }
        try FileManager.default.removeItem(at: folder)
    }
}
