public import Foundation

/// A message that the broker delivered and waits to hear about.
///
/// Exactly one of ``ack()``, ``nack(requeue:)`` and ``reject()`` is to be called. A delivery belongs to the channel that
/// it came on: when that is lost, the broker gives the message to someone again, and settling the old delivery does
/// nothing and says so.
public struct Delivery: Sendable {
    /// The content.
    public let body: Data
    /// The publisher's name for the message.
    public let messageID: String?
    /// The exchange it was published to.
    public let exchange: String
    /// The key it was routed by.
    public let routingKey: String
    /// The broker may have delivered it before.
    public let redelivered: Bool
    /// Headers, such as `x-delivery-count` and, on dead letters, `x-first-death-queue` and `x-first-death-reason`.
    public let headers: [String: FieldValue]
    let tag: DeliveryTag
    let mailbox: Mailbox

    /// How often a quorum queue has delivered the message before.
    public var deliveryCount: Int {
        if case .integer(let count) = headers["x-delivery-count"] { Int(count) } else { 0 }
    }

    /// Tells the broker that the message is dealt with.
    @discardableResult
    public func ack() async -> Settlement { await settle(.ack) }

    /// Gives the message back: to the queue for another try, or to the dead-letter exchange.
    @discardableResult
    public func nack(requeue: Bool) async -> Settlement { await settle(requeue ? .requeue : .deadLetter) }

    /// Sends the message to the dead-letter exchange.
    @discardableResult
    public func reject() async -> Settlement { await settle(.deadLetter) }

    private func settle(_ verdict: Verdict) async -> Settlement {
        await withCheckedContinuation { reply in
            if !mailbox.post(.settle(tag, verdict, reply)) { reply.resume(returning: .stale) }
        }
    }
}

/// What became of an ack, nack or reject.
public enum Settlement: Sendable, Hashable {
    /// It was written to the channel that the delivery came on.
    case sent
    /// That channel is gone and nothing was sent: the broker delivers the message again.
    case stale
}

/// A delivery's place: tags count from 1 on each channel, so a tag means nothing without the opening of the channel.
struct DeliveryTag: Sendable, Hashable {
    /// Counts the openings of channels in this process, over all connections.
    var epoch: UInt64
    var tag: UInt64
}

/// What to tell the broker about a delivery.
enum Verdict: Sendable { case ack, requeue, deadLetter }
