/// What can go wrong between this process and the broker.
public enum BrokerError: Error, Hashable, Sendable {
    /// The broker's URL makes no sense; `url` has its password hidden.
    case invalidURL(url: String, problem: String)
    /// No connection could be made in the time given.
    case unreachable(address: String, reason: String)
    /// There is no connection right now; one is being made.
    case disconnected(reason: String)
    /// The message was sent, but the broker's confirm was not seen: it may or may not have the message.
    case unconfirmed(reason: String)
    /// The broker confirmed negatively (basic.nack): it does not have the message, for example because a queue is full.
    case refused(messageID: String)
    /// No queue is bound for the message (basic.return): it is gone.
    case unroutable(exchange: String, routingKey: String, messageID: String)
    /// There is no such queue.
    case queueNotFound(String)
    /// This client was closed.
    case closed

    /// Whether doing the same again later can help.
    public var isRetryable: Bool {
        switch self {
        case .unreachable, .disconnected, .unconfirmed, .refused: true
        case .invalidURL, .unroutable, .queueNotFound, .closed: false
        }
    }
}

extension BrokerError: CustomStringConvertible {
    /// The error in words, with the remedy where there is one.
    public var description: String {
        switch self {
        case .invalidURL(let url, let problem):
            "the broker's URL '\(url)' cannot be used: \(problem); it looks like amqp://user:password@host:5672/"
        case .unreachable(let address, let reason):
            "no connection to RabbitMQ at \(address): \(reason); check that it runs (deploy/servers status) and that "
                + "LIKENESS_AMQP_URL is right"
        case .disconnected(let reason): "not connected to RabbitMQ right now: \(reason)"
        case .unconfirmed(let reason): "the broker did not confirm a message: \(reason); publish it again"
        case .refused(let id): "the broker refused message \(id) (basic.nack); publish it again later"
        case .unroutable(let exchange, let key, let id):
            "no queue is bound to exchange '\(exchange)' with routing key '\(key)' for message \(id)"
        case .queueNotFound(let queue): "there is no queue '\(queue)'"
        case .closed: "this connection to the broker was closed"
        }
    }
}
