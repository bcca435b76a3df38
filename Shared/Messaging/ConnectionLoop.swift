import Foundation
import Logging
import Metrics
import Telemetry

/// The life of the connection's thread: do what tasks ask for, read what the broker sends, open again what was lost,
/// sleep in poll(2) until one of these is due.
///
/// librabbitmq is not thread-safe and answers heartbeats only within its own calls. So this thread does nothing else: no
/// work of any task runs on it, and it never waits for one. It is back at ``Session/receive(_:_:limit:)`` at least four
/// times in a heartbeat interval, however long a job computes elsewhere.
final class ConnectionLoop {
    /// How long an unconfirmed message is waited for.
    private static let confirmPatience = Duration.seconds(30)
    /// A connection that lasted this long was a good one: the next loss begins with short waiting times again.
    private static let goodSession = Duration.seconds(5)
    /// How long messages on their way are waited for at the end.
    private static let closePatience = Duration.seconds(3)

    private let options: Broker.Options
    private let mailbox: Mailbox
    private let log: Logger
    private var session: Session?
    private var sessionSince = ContinuousClock.now
    private var backoff = Backoff()
    private var nextAttempt = ContinuousClock.now
    private var lastFailure = "connecting"
    private var consumers: [Consumer] = []
    private var ledger: PublishLedger
    private var waitingForReady: [(deadline: ContinuousClock.Instant, reply: Command.Reply<Void>)] = []
    private var lastEpoch: UInt64 = 0
    private var closing: (deadline: ContinuousClock.Instant, replies: [CheckedContinuation<Void, Never>])?

    private let connects = Counter(label: Instrument.brokerConnects)
    private let connected = Gauge(label: Instrument.brokerConnected)
    private let stale = Counter(label: Instrument.staleSettlements)

    init(_ options: Broker.Options, mailbox: Mailbox) {
        (self.options, self.mailbox, log) = (options, mailbox, options.logger)
        let seconds = Timer(label: Instrument.publishSeconds)
        ledger = PublishLedger { outcome, duration in
            Counter(label: Instrument.publishes, dimensions: [("outcome", outcome.rawValue)]).increment()
            if outcome == .confirmed { seconds.record(duration: duration) }
        }
    }

    /// Runs until a task asks to close.
    func run() {
        while true {
            for command in mailbox.take() { serve(command) }
            if let closing, session == nil || ledger.isEmpty || closing.deadline <= .now { break }
            connectIfDue()
            let more = withSession { session in
                try session.repair(consumers, newEpoch: newEpoch)
                try session.flush(&ledger)
                return try session.receive(consumers, &ledger)
            }
            expire()
            sleep(atMost: more == true ? .zero : .milliseconds(500))
        }
        close()
    }

    // MARK: Commands

    private func serve(_ command: Command) {
        switch command {
        case .awaitReady(let deadline, let reply):
            if session != nil { reply.resume() } else { waitingForReady.append((deadline, reply)) }
        case .publish(let message, let id, let reply):
            guard session != nil, closing == nil else {
                reply.resume(throwing: closing == nil ? .disconnected(reason: lastFailure) : BrokerError.closed)
                return
            }
            ledger.hold(PublishLedger.Entry(id: id, message: message, reply: reply))
        case .forget(let id): ledger.forget(id)
        case .subscribe(let subscription):
            let used = Set(consumers.map(\.channel))
            guard let channel = (Session.firstConsumerChannel...UInt16.max).first(where: { !used.contains($0) }) else {
                subscription.buffer.finish()
                return
            }
            consumers.append(Consumer(subscription, channel: channel))
        case .stop(let subscription, let reply):
            if let consumer = consumers.first(where: { $0.subscription === subscription }) {
                consumer.isStopping = true
                withSession { try $0.stop(consumer) }
            }
            subscription.buffer.finish()
            reply.resume()
        case .abandon(let subscription):
            if let consumer = consumers.first(where: { $0.subscription === subscription }) {
                withSession { try $0.close(consumer) }
                consumers.removeAll { $0 === consumer }
            }
            subscription.buffer.finish()
        case .settle(let tag, let verdict, let reply): reply.resume(returning: settle(tag, verdict))
        case .status(let queue, let reply): status(of: queue, reply)
        case .close(let reply):
            closing = (closing?.deadline ?? .now + Self.closePatience, (closing?.replies ?? []) + [reply])
        }
    }

    private func settle(_ tag: DeliveryTag, _ verdict: Verdict) -> Settlement {
        if let consumer = consumers.first(where: { $0.epoch == tag.epoch }),
            withSession({ try $0.settle(tag.tag, verdict, consumer) }) != nil
        {
            return .sent
        }
        stale.increment()
        return .stale
    }

    private func status(of queue: String, _ reply: Command.Reply<QueueStatus>) {
        do {
            guard let status = try withSession({ session in Result { try session.status(of: queue) } })?.get() else {
                throw BrokerError.disconnected(reason: lastFailure)
            }
            reply.resume(returning: status)
        } catch let error as BrokerError {
            reply.resume(throwing: error)
        } catch {
            lose(error)
            reply.resume(throwing: BrokerError.disconnected(reason: lastFailure))
        }
    }

    // MARK: The connection

    /// Runs the body on the connection; nil where there is none or it was lost over it.
    @discardableResult
    private func withSession<Value>(_ body: (Session) throws -> Value) -> Value? {
        guard let session else { return nil }
        do {
            return try body(session)
        } catch {
            lose(error)
            return nil
        }
    }

    private func connectIfDue() {
        guard session == nil, nextAttempt <= .now else { return }
        do {
            session = try Session(options, mailbox: mailbox, log: log)
            sessionSince = .now
            connects.increment()
            connected.record(1)
            log.info("connected to RabbitMQ", metadata: ["address": "\(options.address)"])
            for waiting in waitingForReady { waiting.reply.resume() }
            waitingForReady = []
            for consumer in consumers { consumer.reopenAt = .now }
        } catch {
            lastFailure = Self.describe(error)
            let pause = backoff.next()
            nextAttempt = .now + pause
            log.warning(
                "no connection to RabbitMQ",
                metadata: ["address": "\(options.address)", "reason": "\(lastFailure)", "retry": "\(pause)"])
        }
    }

    private func lose(_ error: any Error) {
        guard session != nil else { return }
        session = nil
        lastFailure = Self.describe(error)
        if sessionSince.duration(to: .now) >= Self.goodSession { backoff.reset() }
        nextAttempt = .now + backoff.next()
        connected.record(0)
        log.warning("lost RabbitMQ", metadata: ["address": "\(options.address)", "reason": "\(lastFailure)"])
        ledger.connectionLost(lastFailure)
        for consumer in consumers {
            consumer.epoch = nil
            consumer.subscription.buffer.removeAll()
        }
        consumers.removeAll(where: \.isStopping)
    }

    private static func describe(_ error: any Error) -> String {
        switch error {
        case WireError.connection(let reason): reason
        case WireError.channel(let code, let text): "\(text) (\(code))"
        default: "\(error)"
        }
    }

    private func newEpoch() -> UInt64 {
        lastEpoch += 1
        return lastEpoch
    }

    // MARK: Time

    private func expire() {
        let now = ContinuousClock.now
        let reason =
            session?.blockedReason.map { "the broker takes no messages: \($0)" }
            ?? "no confirm within \(Self.confirmPatience)"
        ledger.expire(after: Self.confirmPatience, at: now, reason: reason)
        for waiting in waitingForReady where waiting.deadline <= now {
            let error = BrokerError.unreachable(address: "\(options.address)", reason: lastFailure)
            waiting.reply.resume(throwing: error)
        }
        waitingForReady.removeAll { $0.deadline <= now }
    }

    /// Sleeps until input or a command comes, something is due, or the time is over.
    private func sleep(atMost limit: Duration) {
        var pause = min(limit, options.heartbeat / 4)
        if session?.wire.hasBufferedInput == true { pause = .zero }
        if let due = session.map({ $0.nextRepair(consumers) }) ?? nextAttempt {
            pause = min(pause, max(.zero, ContinuousClock.now.duration(to: due)))
        }
        var inputs = [pollfd(fd: mailbox.wakeUp, events: Int16(POLLIN), revents: 0)]
        if let session { inputs.append(pollfd(fd: session.wire.fileDescriptor, events: Int16(POLLIN), revents: 0)) }
        // Rounded up, so as not to come back just before something is due; a signal's early return does no harm.
        let milliseconds = pause.components.seconds * 1000 + pause.components.attoseconds / 1_000_000_000_000_000
        _ = poll(&inputs, nfds_t(inputs.count), pause == .zero ? 0 : Int32(milliseconds) + 1)
    }

    private func close() {
        do {
            try session?.wire.close()
        } catch {
            log.warning("RabbitMQ did not say goodbye", metadata: ["reason": "\(Self.describe(error))"])
        }
        session = nil
        connected.record(0)
        ledger.connectionLost("this connection to the broker was closed")
        waitingForReady.forEach { $0.reply.resume(throwing: BrokerError.closed) }
        consumers.forEach { $0.subscription.buffer.finish() }
        for command in mailbox.close() { refuse(command) }
        closing?.replies.forEach { $0.resume() }
    }

    private func refuse(_ command: Command) {
        switch command {
        case .awaitReady(_, let reply): reply.resume(throwing: BrokerError.closed)
        case .publish(_, _, let reply): reply.resume(throwing: BrokerError.closed)
        case .status(_, let reply): reply.resume(throwing: BrokerError.closed)
        case .settle(_, _, let reply): reply.resume(returning: .stale)
        case .stop(let subscription, let reply):
            subscription.buffer.finish()
            reply.resume()
        case .subscribe(let subscription), .abandon(let subscription): subscription.buffer.finish()
        case .forget: break
        case .close(let reply): reply.resume()
        }
    }
}
