import Foundation
import Logging
import Metrics
import Telemetry

/// A subscription and the channel it has at the moment. Each has a channel of its own, so that what the broker closes
/// for one (a consumer timeout, a deleted queue) leaves the others alone.
final class Consumer {
    let subscription: Subscription
    let channel: UInt16
    /// The opening of the channel; nil while it is not open. Never used twice.
    var epoch: UInt64?
    /// When to try to open it again.
    var reopenAt = ContinuousClock.now
    var backoff = Backoff()
    /// It was open once.
    var wasOpened = false
    /// Nothing new is wanted; open only so that what was taken can be settled.
    var isStopping = false
    /// Content whose frames are still coming in.
    var incoming: IncomingContent?
    /// Counts the messages.
    let received: Counter

    init(_ subscription: Subscription, channel: UInt16) {
        (self.subscription, self.channel) = (subscription, channel)
        received = Counter(label: Instrument.deliveries, dimensions: [("queue", subscription.queue)])
    }

    /// Its channel is to be opened. One that was lost only when somebody waits for a delivery again: those who took the
    /// old ones may be busy for hours, and what the broker sent them meanwhile would be kept from others.
    var isToBeOpened: Bool { epoch == nil && !isStopping && (!wasOpened || subscription.buffer.isAwaited) }

    /// Our name for the consumer, unique on its channel.
    var tag: String { "likeness-\(channel)" }
}

/// Content being put together from a method frame, a header frame and body frames.
struct IncomingContent {
    let method: Frame.Method
    var messageID: String?
    var headers: [String: FieldValue] = [:]
    var body = Data()
    /// nil until the header came.
    var bodySize: UInt64?

    var isComplete: Bool { bodySize.map { body.count >= $0 } ?? false }
}

/// The channels of one connection, from login to loss.
///
/// Channel 1 is for declaring and asking, 2 for publishing, those from 3 on are the consumers'. Functions throw
/// `WireError.connection` when the connection is lost; what concerns one channel only is dealt with here.
final class Session {
    static let controlChannel: UInt16 = 1
    static let publishChannel: UInt16 = 2
    static let firstConsumerChannel: UInt16 = 3

    let wire: Wire
    /// Set while the broker is short of memory or disk space and wants nothing published.
    private(set) var blockedReason: String?
    private let topology: Topology
    private let mailbox: Mailbox
    private let log: Logger
    private var isControlOpen = false
    private var publisher: (isOpen: Bool, reopenAt: ContinuousClock.Instant, backoff: Backoff) = (
        false, .now, Backoff()
    )
    private var returned: IncomingContent?
    /// When to declare the topology again; nil while nothing speaks for its having changed.
    private var declareAt: ContinuousClock.Instant?

    /// Connects, declares the topology and opens the publishing channel.
    init(_ options: Broker.Options, mailbox: Mailbox, log: Logger) throws {
        wire = try Wire(options.address, name: options.name, heartbeat: options.heartbeat)
        (topology, self.mailbox, self.log) = (options.topology, mailbox, log)
        do {
            try declareTopology()
            try openPublisher()
        } catch WireError.channel(let code, let text) {
            throw WireError.connection(
                "\(text) (\(code)); if a queue exists with other settings, empty and delete it, then start again")
        }
    }

    private func declareTopology() throws {
        try onControlChannel {
            for exchange in topology.exchanges { try wire.declare(exchange, on: $0) }
            for queue in topology.queues { try wire.declare(queue, on: $0) }
            for binding in topology.bindings { try wire.declare(binding, on: $0) }
        }
    }

    private func openPublisher() throws {
        try wire.openChannel(Self.publishChannel)
        try agreeing(on: Self.publishChannel) { try wire.selectConfirms(on: Self.publishChannel) }
        publisher.isOpen = true
    }

    /// Runs the body; agrees to the channel's end if the broker ends it.
    private func agreeing<Value>(on channel: UInt16, _ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as WireError {
            if case .channel = error { try wire.agreeToClose(channel) }
            throw error
        }
    }

    private func onControlChannel<Value>(_ body: (UInt16) throws -> Value) throws -> Value {
        if !isControlOpen { try wire.openChannel(Self.controlChannel) }
        isControlOpen = true
        do {
            return try agreeing(on: Self.controlChannel) { try body(Self.controlChannel) }
        } catch {
            isControlOpen = false  // whatever went wrong, a channel once failed is not used again
            throw error
        }
    }

    // MARK: What tasks ask for

    func status(of queue: String) throws -> QueueStatus {
        do {
            return try onControlChannel { try wire.status(of: queue, on: $0) }
        } catch WireError.channel(404, _) {
            throw BrokerError.queueNotFound(queue)
        }
    }

    /// Sends what waits to be sent, unless the broker or the channel is not able to take it.
    func flush(_ ledger: inout PublishLedger) throws {
        guard publisher.isOpen, blockedReason == nil else { return }
        while let message = ledger.sendNext() { try wire.publish(message, on: Self.publishChannel) }
    }

    func settle(_ tag: UInt64, _ verdict: Verdict, _ consumer: Consumer) throws {
        try wire.settle(tag, verdict, on: consumer.channel)
    }

    /// Asks the broker to send no more and gives back what nobody took.
    func stop(_ consumer: Consumer) throws {
        guard let epoch = consumer.epoch else { return }
        do {
            try agreeing(on: consumer.channel) { try wire.cancel(tag: consumer.tag, on: consumer.channel) }
        } catch WireError.channel(let code, let text) {
            return lose(consumer, "\(text) (\(code))")
        }
        for delivery in consumer.subscription.buffer.finish() where delivery.tag.epoch == epoch {
            try wire.settle(delivery.tag.tag, .requeue, on: consumer.channel)
        }
    }

    func close(_ consumer: Consumer) throws {
        guard consumer.epoch != nil else { return }
        consumer.epoch = nil
        try wire.closeChannel(consumer.channel)
    }

    // MARK: Keeping channels open

    /// When something here wants to be tried again.
    func nextRepair(_ consumers: [Consumer]) -> ContinuousClock.Instant? {
        let closed = consumers.filter(\.isToBeOpened).map(\.reopenAt)
        return (closed + (publisher.isOpen ? [] : [publisher.reopenAt]) + (declareAt.map { [$0] } ?? [])).min()
    }

    /// Opens the channels that are not open and due; all of the topology is declared again before, because a deleted
    /// queue or exchange is one reason for a channel's end.
    func repair(_ consumers: [Consumer], newEpoch: () -> UInt64) throws {
        guard let due = nextRepair(consumers), due <= .now else { return }
        declareAt = nil
        do {
            try declareTopology()
        } catch WireError.channel(let code, let text) {
            log.error("cannot declare the topology", metadata: ["reason": "\(text) (\(code))"])
            declareAt = .now + .seconds(5)
        }
        if !publisher.isOpen, publisher.reopenAt <= .now {
            do {
                try openPublisher()
            } catch WireError.channel(let code, let text) {
                losePublisher("\(text) (\(code))")
            }
        }
        for consumer in consumers where consumer.isToBeOpened && consumer.reopenAt <= .now {
            do {
                try subscribe(consumer, epoch: newEpoch())
            } catch WireError.channel(let code, let text) {
                lose(consumer, "\(text) (\(code))")
            }
        }
    }

    private func subscribe(_ consumer: Consumer, epoch: UInt64) throws {
        try wire.openChannel(consumer.channel)
        consumer.incoming = nil
        consumer.epoch = epoch
        consumer.wasOpened = true
        try agreeing(on: consumer.channel) {
            try wire.limitUnsettled(to: consumer.subscription.prefetch, on: consumer.channel)
            try wire.consume(consumer.subscription.queue, tag: consumer.tag, on: consumer.channel)
        }
        log.debug("consuming", metadata: ["queue": "\(consumer.subscription.queue)"])
    }

    private func losePublisher(_ reason: String) {
        publisher.isOpen = false
        publisher.reopenAt = .now + publisher.backoff.next()
        returned = nil
        log.warning("the broker closed the publishing channel", metadata: ["reason": "\(reason)"])
    }

    private func lose(_ consumer: Consumer, _ reason: String) {
        consumer.epoch = nil
        consumer.reopenAt = .now + consumer.backoff.next()
        declareAt = consumer.reopenAt
        consumer.subscription.buffer.removeAll()
        log.warning(
            "the broker closed a consumer's channel; what it had delivered goes back to the queue",
            metadata: ["queue": "\(consumer.subscription.queue)", "reason": "\(reason)"])
    }

    // MARK: What the broker sends

    /// Deals with frames until there are none, or `limit` have been dealt with and others want their turn.
    /// - Returns: Whether there may be more.
    func receive(_ consumers: [Consumer], _ ledger: inout PublishLedger, limit: Int = 256) throws -> Bool {
        for _ in 0..<limit {
            guard let frame = try wire.nextFrame() else { return false }
            let consumer = consumers.first { $0.channel == frame.channel }
            switch frame.payload {
            case .method(.deliver), .method(.returned), .header, .body: try collect(frame, consumer, &ledger)
            case .method(let method): try handle(method, frame.channel, consumer, &ledger)
            }
        }
        return true
    }

    private func handle(
        _ method: Frame.Method, _ channel: UInt16, _ consumer: Consumer?, _ ledger: inout PublishLedger
    ) throws {
        switch method {
        case .ack(let tag, let multiple):
            publisher.backoff.reset()
            ledger.confirm(tag, multiple: multiple, positive: true)
        case .nack(let tag, let multiple): ledger.confirm(tag, multiple: multiple, positive: false)
        case .channelClose(let code, let text):
            try wire.agreeToClose(channel)
            let reason = "\(text) (\(code))"
            if channel == Self.publishChannel {
                losePublisher(reason)
                ledger.channelLost(reason)
            } else if channel == Self.controlChannel {
                isControlOpen = false
            } else if let consumer {
                lose(consumer, reason)
            }
        case .cancel:
            guard let consumer, consumer.epoch != nil else { return }
            try wire.closeChannel(channel)
            lose(consumer, "the queue was deleted or moved (basic.cancel)")
        case .connectionClose(let code, let text): throw WireError.connection("\(text) (\(code))")
        case .blocked(let reason):
            blockedReason = reason
            log.warning("the broker takes no messages for now", metadata: ["reason": "\(reason)"])
        case .unblocked:
            blockedReason = nil
            log.notice("the broker takes messages again")
        case .deliver, .returned, .other: break
        }
    }

    /// Puts content together and passes it on when complete.
    private func collect(_ frame: Frame, _ consumer: Consumer?, _ ledger: inout PublishLedger) throws {
        var content = frame.channel == Self.publishChannel ? returned : consumer?.incoming
        switch frame.payload {
        case .method(let method): content = IncomingContent(method: method)
        case .header(let messageID, let headers, let bodySize):
            content?.messageID = messageID
            content?.headers = headers
            content?.bodySize = bodySize
        case .body(let data): content?.body.append(data)
        }
        if let complete = content, complete.isComplete {
            content = nil
            try pass(complete, to: consumer, &ledger)
        }
        if frame.channel == Self.publishChannel { returned = content } else { consumer?.incoming = content }
    }

    private func pass(_ content: IncomingContent, to consumer: Consumer?, _ ledger: inout PublishLedger) throws {
        switch content.method {
        case .deliver(let tag, let redelivered, let exchange, let routingKey):
            guard let consumer, let epoch = consumer.epoch else { return }
            guard !consumer.isStopping else { return try wire.settle(tag, .requeue, on: consumer.channel) }
            consumer.backoff.reset()
            consumer.received.increment()
            consumer.subscription.buffer.append(
                Delivery(
                    body: content.body, messageID: content.messageID, exchange: exchange, routingKey: routingKey,
                    redelivered: redelivered, headers: content.headers, tag: DeliveryTag(epoch: epoch, tag: tag),
                    mailbox: mailbox))
        case .returned(let code, let text):
            log.error(
                "the broker returned a message",
                metadata: ["message": "\(content.messageID ?? "without id")", "reason": "\(text) (\(code))"])
            if let messageID = content.messageID { ledger.markReturned(messageID: messageID) }
        default: break
        }
    }
}
