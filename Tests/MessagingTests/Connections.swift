import Contracts
import Foundation
import Logging
import Messaging
import TestSupport

/// A connection with a topology of its own, made for one test.
struct TestBroker {
    let broker: Broker
    let name: String
    let management: ManagementAPI

    var topology: Topology { broker.topology }
    var queue: String { topology.queue(for: .encode) }

    func publish(_ texts: [String], to stage: Stage = .encode) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for text in texts {
                group.addTask {
                    try await broker.publish(Data(text.utf8), routingKey: stage.rawValue, messageID: text)
                }
            }
            try await group.waitForAll()
        }
    }

    /// Returns once this many messages are ready in the queue. A connection that was lost may be on its way back.
    func expectReady(_ count: Int, in queue: String? = nil) async throws {
        let queue = queue ?? self.queue
        try await eventually("\(count) messages ready in \(queue)") {
            do {
                return try await broker.status(of: queue).messages == count
            } catch BrokerError.disconnected {
                return false
            }
        }
    }
}

extension Delivery {
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension Deliveries {
    /// The next delivery, which has to come.
    func one() async throws -> Delivery {
        guard let delivery = await next() else { throw TestFailure("the deliveries ended") }
        return delivery
    }
}

/// Runs the body with a connection and removes its queues and exchanges afterwards.
func withBroker(
    _ name: String, url: String? = nil, management: ManagementAPI? = nil, heartbeat: Duration = .seconds(10),
    patience: Duration = .seconds(60), _ body: (TestBroker) async throws -> Void
) async throws {
    let url = try url ?? TestServers.amqpURL
    let unique = uniqueName(name)
    var log = Logger(label: unique)
    log.logLevel = .critical  // tests of failures would fill the screen with their warnings
    let broker = Broker(
        Broker.Options(
            address: try BrokerAddress(url: url), topology: Topology(prefix: unique), name: unique,
            heartbeat: heartbeat, logger: log))
    let connection = TestBroker(broker: broker, name: unique, management: try management ?? ManagementAPI(amqpURL: url))
    do {
        try await broker.ready(within: patience)
        try await body(connection)
    } catch {
        await broker.close()
        throw error
    }
    await broker.close()
    for queue in connection.topology.queues { try await connection.management.delete("queues/%2F/\(queue.name)") }
    for exchange in connection.topology.exchanges {
        try await connection.management.delete("exchanges/%2F/\(exchange.name)")
    }
}
