import Foundation
import Messaging
import TestSupport
import Testing

@Suite struct ConsumeTests {
    @Test func noMoreThanThePrefetchCountIsUnsettled() async throws {
        try await withBroker("prefetch") { connection in
            try await connection.publish((0..<10).map(String.init))
            let deliveries = connection.broker.consume(connection.queue, prefetch: 3)
            try await connection.expectReady(7)
            let first = try await deliveries.one()
            try await connection.expectReady(7)
            await first.ack()
            try await connection.expectReady(6)
        }
    }

    @Test func nackBringsTheMessageBackAndRejectBuriesIt() async throws {
        try await withBroker("nack") { connection in
            try await connection.publish(["task"])
            let deliveries = connection.broker.consume(connection.queue, prefetch: 1)
            #expect(await (try deliveries.one()).nack(requeue: true) == .sent)
            let again = try await deliveries.one()
            #expect(again.text == "task")
            #expect(again.redelivered)
            #expect(again.deliveryCount == 1)
            await again.reject()
            let dead = try await connection.broker.consume(connection.topology.deadLetterQueue, prefetch: 1).one()
            #expect(dead.text == "task")
            #expect(dead.messageID == "task")
            #expect(dead.routingKey == "encode")
            #expect(dead.headers["x-first-death-reason"] == .string("rejected"))
            #expect(dead.headers["x-first-death-queue"] == .string(connection.queue))
        }
    }

    @Test func aPoisonMessageIsBuriedAfterTwentyReturns() async throws {
        try await withBroker("poison") { connection in
            try await connection.publish(["poison"])
            let deliveries = connection.broker.consume(connection.queue, prefetch: 1)
            let graveyard = connection.broker.consume(connection.topology.deadLetterQueue, prefetch: 1)
            for returns in 0...20 {
                let delivery = try await deliveries.one()
                #expect(delivery.deliveryCount == returns)
                await delivery.nack(requeue: true)
            }
            let dead = try await graveyard.one()
            #expect(dead.text == "poison")
            #expect(dead.headers["x-first-death-reason"] == .string("delivery_limit"))
        }
    }

    @Test func stopGivesBackWhatNobodyTook() async throws {
        try await withBroker("stop") { connection in
            try await connection.publish((0..<5).map(String.init))
            let deliveries = connection.broker.consume(connection.queue, prefetch: 5)
            try await connection.expectReady(0)
            let taken = try await deliveries.one()
            await deliveries.stop()
            #expect(await deliveries.next() == nil)
            try await connection.expectReady(4)
            #expect(await taken.ack() == .sent)
            try await eventually("nobody consumes") {
                try await connection.broker.status(of: connection.queue).consumers == 0
            }
        }
    }

    @Test func droppingTheDeliveriesGivesBackAllThatIsUnsettled() async throws {
        try await withBroker("drop") { connection in
            try await connection.publish(["one", "two"])
            var taken: Delivery?
            do {
                let deliveries = connection.broker.consume(connection.queue, prefetch: 2)
                taken = try await deliveries.one()
            }
            try await connection.expectReady(2)
            #expect(await taken?.ack() == .stale)
        }
    }

    @Test func aCancelledReaderEnds() async throws {
        try await withBroker("reader") { connection in
            let deliveries = connection.broker.consume(connection.queue, prefetch: 1)
            let reader = Task { await deliveries.next() }
            reader.cancel()
            #expect(await reader.value == nil)
            // The subscription itself goes on.
            try await connection.publish(["task"])
            #expect(try await deliveries.one().text == "task")
        }
    }

    @Test func twoReadersShareTheDeliveries() async throws {
        try await withBroker("readers") { connection in
            let texts = Set((0..<40).map(String.init))
            let deliveries = connection.broker.consume(connection.queue, prefetch: 4)
            try await connection.publish(texts.sorted())
            let received = try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<2 {
                    group.addTask {
                        var mine: [String] = []
                        for _ in 0..<20 {
                            let delivery = try await deliveries.one()
                            await delivery.ack()
                            mine.append(delivery.text)
                        }
                        return mine
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(received.count == 40)
            #expect(Set(received) == texts)
        }
    }

    @Test func aQueueThatIsNotThereIsNamed() async throws {
        try await withBroker("status") { connection in
            let missing = uniqueName("missing")
            for _ in 0..<2 {  // the broker closes the channel over it; the next question needs a new one
                await #expect(throws: BrokerError.queueNotFound(missing)) {
                    try await connection.broker.status(of: missing)
                }
            }
            let status = try await connection.broker.status(of: connection.queue)
            #expect(status.messages == 0)
        }
    }
}
