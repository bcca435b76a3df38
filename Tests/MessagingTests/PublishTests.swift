import Contracts
import Foundation
import Logging
import Messaging
import TestSupport
import Testing

@Suite struct PublishTests {
    @Test func confirmedMessagesAreInTheQueue() async throws {
        try await withBroker("confirm") { connection in
            let texts = (0..<300).map { "message \($0)" }
            try await connection.publish(texts)
            try await connection.expectReady(300)
            let deliveries = connection.broker.consume(connection.queue, prefetch: 50)
            var received: [String] = []
            for _ in texts {
                let delivery = try await deliveries.one()
                #expect(delivery.messageID == delivery.text)
                #expect(delivery.routingKey == "encode")
                #expect(!delivery.redelivered)
                #expect(await delivery.ack() == .sent)
                received.append(delivery.text)
            }
            #expect(received.sorted() == texts.sorted())
        }
    }

    @Test func aLargeBodyArrivesWhole() async throws {
        try await withBroker("large") { connection in
            // Longer than a frame (128 KiB), so it comes in several.
            let body = Data((0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            try await connection.broker.publish(body, routingKey: "encode", messageID: "large")
            let delivery = try await connection.broker.consume(connection.queue, prefetch: 1).one()
            #expect(delivery.body == body)
        }
    }

    @Test func anUnroutableMessageFailsAndOthersDoNot() async throws {
        try await withBroker("unroutable") { connection in
            async let routed: Void = connection.publish(["one", "two"])
            await #expect(
                throws: BrokerError.unroutable(
                    exchange: connection.topology.tasksExchange, routingKey: "nowhere", messageID: "lost")
            ) {
                try await connection.broker.publish(Data("x".utf8), routingKey: "nowhere", messageID: "lost")
            }
            try await routed
            try await connection.publish(["three"])
            try await connection.expectReady(3)
        }
    }

    @Test func aFullQueueRefuses() async throws {
        try await withBroker("full") { connection in
            let policy = "policies/%2F/\(connection.name)"
            let body =
                #"{"pattern":"^\#(connection.name)\\.encode$","definition":{"max-length":3},"apply-to":"queues"}"#
            try await connection.management.send("PUT", policy, body: Data(body.utf8))
            // The queue learns its limit, and counts its messages, a moment later.
            var accepted = 0
            do {
                while accepted < 10_000 {
                    try await connection.publish(["\(accepted)"])
                    accepted += 1
                }
                Issue.record("a queue limited to 3 messages took \(accepted)")
            } catch let error as BrokerError {
                #expect(error == .refused(messageID: "\(accepted)"))
                #expect(error.isRetryable)
            }
            try await connection.management.delete(policy)
        }
    }

    @Test func aMissingExchangeClosesTheChannelWhichOpensAgain() async throws {
        try await withBroker("exchange") { connection in
            let message = OutgoingMessage(
                exchange: uniqueName("missing"), routingKey: "x", messageID: "lost", body: Data())
            let error = await #expect(throws: BrokerError.self) { try await connection.broker.publish(message) }
            #expect(error?.isRetryable == true)
            #expect(error?.description.contains("NOT_FOUND") == true)
            try await connection.publish(["after"])
            try await connection.expectReady(1)
        }
    }

    @Test func aCancelledPublishEnds() async throws {
        try await withBroker("cancelled") { connection in
            let task = Task {
                while true { try await connection.publish(["again and again"]) }
            }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test func anUnreachableBrokerIsNamedWithoutItsPassword() async throws {
        var log = Logger(label: "unreachable")
        log.logLevel = .critical
        let address = try BrokerAddress(url: "amqp://anna:secret@127.0.0.1:1/")
        let broker = Broker(Broker.Options(address: address, name: "unreachable", logger: log))
        let error = await #expect(throws: BrokerError.self) { try await broker.ready(within: .milliseconds(300)) }
        #expect(error?.description.contains("amqp://anna@127.0.0.1:1/") == true)
        #expect(error?.description.contains("LIKENESS_AMQP_URL") == true)
        #expect(error?.description.contains("secret") == false)
        let failure = await #expect(throws: BrokerError.self) {
            try await broker.publish(Data(), routingKey: "encode", messageID: "1")
        }
        #expect(failure?.isRetryable == true)
        await broker.close()
        await #expect(throws: BrokerError.closed) {
            try await broker.publish(Data(), routingKey: "encode", messageID: "1")
        }
    }

    @Test func aWrongPasswordIsSaidToBeOne() async throws {
        var address = try BrokerAddress(url: TestServers.amqpURL)
        address.password = "wrong"
        var log = Logger(label: "password")
        log.logLevel = .critical
        let broker = Broker(Broker.Options(address: address, name: "password", logger: log))
        let error = await #expect(throws: BrokerError.self) { try await broker.ready(within: .seconds(1)) }
        #expect(error?.description.contains("ACCESS_REFUSED") == true)
        await broker.close()
    }
}
