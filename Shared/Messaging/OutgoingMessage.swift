public import Foundation

/// A message to publish. It is sent persistent (delivery mode 2) and mandatory: a queue must take it.
public struct OutgoingMessage: Sendable, Hashable {
    /// The exchange that routes it.
    public var exchange: String
    /// The key it is routed by.
    public var routingKey: String
    /// The publisher's name for the message; travels as the AMQP property `message-id`.
    public var messageID: String
    /// The content; JSON throughout Likeness.
    public var body: Data

    /// Makes a message.
    public init(exchange: String, routingKey: String, messageID: String, body: Data) {
        (self.exchange, self.routingKey, self.messageID, self.body) = (exchange, routingKey, messageID, body)
    }
}

/// What the broker says about a queue.
public struct QueueStatus: Sendable, Hashable {
    /// Messages ready for delivery.
    public var messages: Int
    /// Consumers subscribed.
    public var consumers: Int
}
