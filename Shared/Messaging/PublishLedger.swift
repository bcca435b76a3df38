/// Messages on their way: published, or held back while the broker asks for silence, and not yet confirmed.
///
/// In confirm mode both sides count the messages of a channel from 1; a confirm names a number, or all up to it. A
/// message that no queue took is returned before its confirm, and recognised by its message id.
struct PublishLedger {
    struct Entry {
        let id: UInt64
        let message: OutgoingMessage
        let reply: Command.Reply<Void>
        let since = ContinuousClock.now
        var isReturned = false
    }

    enum Outcome: String { case confirmed, unroutable, refused, lost, cancelled }

    /// Called for each message as it is answered, for metrics.
    let record: (Outcome, Duration) -> Void
    /// Not sent yet, in order.
    private var held: [Entry] = []
    private var sent: [UInt64: Entry] = [:]
    private var lastNumber: UInt64 = 0
    /// No message with a lower number is in `sent`.
    private var lowest: UInt64 = 1

    init(record: @escaping (Outcome, Duration) -> Void) { self.record = record }

    var isEmpty: Bool { held.isEmpty && sent.isEmpty }

    mutating func hold(_ entry: Entry) { held.append(entry) }

    /// The next message to send, counted as sent.
    mutating func sendNext() -> OutgoingMessage? {
        guard !held.isEmpty else { return nil }
        let entry = held.removeFirst()
        lastNumber += 1
        sent[lastNumber] = entry
        return entry.message
    }

    mutating func confirm(_ number: UInt64, multiple: Bool, positive: Bool) {
        for number in multiple ? lowest...max(lowest, number) : number...number {
            guard let entry = sent.removeValue(forKey: number) else { continue }
            let message = entry.message
            if !positive {
                finish(entry, .refused, BrokerError.refused(messageID: message.messageID))
            } else if entry.isReturned {
                let error = BrokerError.unroutable(
                    exchange: message.exchange, routingKey: message.routingKey, messageID: message.messageID)
                finish(entry, .unroutable, error)
            } else {
                finish(entry, .confirmed, nil)
            }
        }
        while lowest <= lastNumber, sent[lowest] == nil { lowest += 1 }
    }

    /// Notes that a message came back. The same message may be on its way twice; then one of the two is meant, and the
    /// other will come back as well.
    mutating func markReturned(messageID: String) {
        let number = sent.filter { $0.value.message.messageID == messageID && !$0.value.isReturned }.keys.min()
        if let number { sent[number]?.isReturned = true }
    }

    /// Answers a message whose sender has gone. A confirm that still comes finds nothing to do.
    mutating func forget(_ id: UInt64) {
        take { $0.id == id }.forEach { finish($0, .cancelled, CancellationError()) }
    }

    /// Answers messages that have waited for longer than the limit.
    mutating func expire(after limit: Duration, at now: ContinuousClock.Instant, reason: String) {
        guard let oldest = sent[lowest]?.since ?? held.first?.since, now - oldest > limit else { return }
        take { now - $0.since > limit }.forEach { finish($0, .lost, BrokerError.unconfirmed(reason: reason)) }
    }

    /// The channel is gone: answers everything that was sent, and counts from 1 again. What was held back is sent on the
    /// next channel.
    mutating func channelLost(_ reason: String) {
        for (_, entry) in sent.sorted(by: { $0.key < $1.key }) {
            finish(entry, .lost, BrokerError.unconfirmed(reason: reason))
        }
        (sent, lastNumber, lowest) = ([:], 0, 1)
    }

    /// The connection is gone: answers everything.
    mutating func connectionLost(_ reason: String) {
        channelLost(reason)
        take { _ in true }.forEach { finish($0, .lost, BrokerError.disconnected(reason: reason)) }
    }

    private mutating func take(where belongs: (Entry) -> Bool) -> [Entry] {
        let numbers = sent.filter { belongs($0.value) }.keys.sorted()
        let entries = numbers.compactMap { sent.removeValue(forKey: $0) } + held.filter(belongs)
        held.removeAll(where: belongs)
        while lowest <= lastNumber, sent[lowest] == nil { lowest += 1 }
        return entries
    }

    private func finish(_ entry: Entry, _ outcome: Outcome, _ error: (any Error)?) {
        record(outcome, entry.since.duration(to: .now))
        if let error { entry.reply.resume(throwing: error) } else { entry.reply.resume() }
    }
}
