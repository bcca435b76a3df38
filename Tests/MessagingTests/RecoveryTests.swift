import Foundation
import Messaging
import TestSupport
import Testing

/// What happens when something is lost on a broker that itself stays up.
@Suite struct RecoveryTests {
    @Test func aClosedConnectionRedeliversAndTheOldDeliveryIsStale() async throws {
        try await withBroker("close") { connection in
            try await connection.publish(["task"])
            let deliveries = connection.broker.consume(connection.queue, prefetch: 1)
            let old = try await deliveries.one()
            try await connection.management.closeConnection(named: connection.name)
            let new = try await deliveries.one()
            #expect(new.text == "task")
            #expect(new.redelivered)
            #expect(await old.ack() == .stale)
            #expect(await new.ack() == .sent)
            try await connection.publish(["next"])
            #expect(try await deliveries.one().text == "next")
        }
    }

    @Test func overANewChannelNothingIsSentToThoseWhoAreBusy() async throws {
        try await withBroker("busy") { connection in
            try await connection.publish(["long"])
            let deliveries = connection.broker.consume(connection.queue, prefetch: 1)
            let long = try await deliveries.one()
            try await connection.publish(["next"])
            try await connection.management.closeConnection(named: connection.name)
            // Both are ready for others, and stay so for as long as nobody here waits.
            try await connection.expectReady(2)
            try await Task.sleep(for: .seconds(2))
            let status = try await connection.broker.status(of: connection.queue)
            #expect(status.messages == 2 && status.consumers == 0)
            #expect(await long.ack() == .stale)
            #expect(try await deliveries.one().text == "long")
        }
    }

    @Test func aDeletedQueueIsDeclaredAndConsumedAgain() async throws {
        try await withBroker("deleted") { connection in
            let deliveries = connection.broker.consume(connection.queue, prefetch: 1)
            try await eventually("consumed") {
                try await connection.broker.status(of: connection.queue).consumers == 1
            }
            try await connection.management.delete("queues/%2F/\(connection.queue)")
            // Until it is declared again, nothing is bound and publishing fails.
            try await eventually("routable again") {
                do {
                    try await connection.publish(["task"])
                    return true
                } catch BrokerError.unroutable {
                    return false
                }
            }
            #expect(try await deliveries.one().text == "task")
        }
    }

    @Test func aSecondSettlementClosesTheChannelWhichOpensAgain() async throws {
        try await withBroker("twice") { connection in
            try await connection.publish(["one", "two"])
            let deliveries = connection.broker.consume(connection.queue, prefetch: 1)
            let first = try await deliveries.one()
            #expect(await first.ack() == .sent)
            // The broker answers a tag that it does not know with PRECONDITION_FAILED, and gives back the rest.
            #expect(await first.ack() == .sent)
            try await eventually("a delivery on the new channel") {
                let second = try await deliveries.one()
                #expect(second.text == "two")
                return await second.ack() == .sent
            }
        }
    }

    @Test func heartbeatsAreAnsweredWhileAJobComputes() async throws {
        // Silence for two intervals, 8 s, would end the connection, from either side; the job takes longer. Shorter ones
        // would measure how busy the other tests keep the machine.
        try await withBroker("heartbeat", heartbeat: .seconds(4)) { connection in
            try await connection.publish(["long"])
            let deliveries = connection.broker.consume(connection.queue, prefetch: 1)
            let delivery = try await deliveries.one()
            let sum = await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    let end = ContinuousClock.now + .seconds(12)
                    var sum = 0.0
                    while ContinuousClock.now < end { for i in 1...100_000 { sum += 1 / Double(i) } }
                    continuation.resume(returning: sum)
                }
            }
            #expect(sum > 0)
            #expect(await delivery.ack() == .sent)
            await deliveries.stop()
        }
    }

    @Test func definitionsAreWhatTheBrokerReports() async throws {
        try await withBroker("definitions") { connection in
            let ours = try Definitions(connection.topology.definitions())
            let reported = try await Definitions(connection.management.send("GET", "definitions"))
                .limited(to: connection.name)
            #expect(ours.exchanges == reported.exchanges)
            #expect(ours.queues == reported.queues)
            #expect(ours.bindings == reported.bindings)
            #expect(ours.queues.count == 6)
            #expect(ours.bindings.count == 6)
        }
    }
}

/// A definitions file, each entry as a line of JSON with sorted keys so that order and layout do not matter.
private struct Definitions {
    var exchanges: Set<String> = []
    var queues: Set<String> = []
    var bindings: Set<String> = []

    init(_ file: Data) throws {
        guard let root = try JSONSerialization.jsonObject(with: file) as? [String: Any] else {
            throw TestFailure("no definitions: \(String(decoding: file, as: UTF8.self))")
        }
        func lines(_ key: String) throws -> Set<String> {
            guard let entries = root[key] as? [[String: Any]] else { throw TestFailure("definitions have no \(key)") }
            return try Set(
                entries.map { entry in
                    let json = try JSONSerialization.data(withJSONObject: entry, options: .sortedKeys)
                    return String(decoding: json, as: UTF8.self)
                })
        }
        (exchanges, queues, bindings) = (try lines("exchanges"), try lines("queues"), try lines("bindings"))
    }

    func limited(to name: String) -> Definitions {
        var limited = self
        limited.exchanges = exchanges.filter { $0.contains("\"name\":\"\(name).") }
        limited.queues = queues.filter { $0.contains("\"name\":\"\(name).") }
        limited.bindings = bindings.filter { $0.contains("\"source\":\"\(name).") }
        return limited
    }
}
