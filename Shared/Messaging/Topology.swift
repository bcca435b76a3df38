public import Contracts

/// Exchanges, queues and bindings: declared at every connect, and exported as RabbitMQ definitions.
///
/// All of it is durable, and all queues are quorum queues: they survive a broker's restart, count deliveries, and dead-
/// letter a message that was delivered too often (a poison message) instead of offering it for ever.
public struct Topology: Sendable, Hashable {
    /// An exchange.
    public struct Exchange: Sendable, Hashable {
        /// How an exchange picks queues.
        public enum Kind: String, Sendable { case direct, fanout }

        /// Its name.
        public var name: String
        /// How it picks queues.
        public var kind: Kind
    }

    /// A durable quorum queue.
    public struct Queue: Sendable, Hashable {
        /// Its name.
        public var name: String
        /// Deliveries after which a message is dead-lettered; nil: no limit.
        public var deliveryLimit: Int?
        /// The exchange that rejected and too often delivered messages go to; nil: they are dropped.
        public var deadLetterExchange: String?
    }

    /// Messages with this routing key go from the exchange to the queue.
    public struct Binding: Sendable, Hashable {
        /// The exchange's name.
        public var exchange: String
        /// The queue's name.
        public var queue: String
        /// The routing key; empty where the exchange ignores it.
        public var routingKey: String
    }

    /// Exchanges, in the order of declaration.
    public var exchanges: [Exchange]
    /// Queues, in the order of declaration.
    public var queues: [Queue]
    /// Bindings, in the order of declaration.
    public var bindings: [Binding]
    /// What every name begins with.
    public let prefix: String

    /// What Likeness uses: `likeness.tasks`, one queue for each stage, and a place for dead letters.
    ///
    ///     exchange likeness.tasks (direct) ──"encode"──▶ queue likeness.encode ──┐  … and so for each stage
    ///                                                                           ▼ rejected, or delivered 20 times
    ///                                 queue likeness.dead-letters ◀── exchange likeness.dead (fanout)
    public static let likeness = Topology(prefix: "likeness")

    /// The same under other names, for tests and for several installations on one broker.
    public init(prefix: String) {
        let tasks = prefix + ".tasks"
        let dead = prefix + ".dead"
        self.prefix = prefix
        exchanges = [Exchange(name: tasks, kind: .direct), Exchange(name: dead, kind: .fanout)]
        queues = Stage.allCases.map {
            Queue(name: "\(prefix).\($0.rawValue)", deliveryLimit: 20, deadLetterExchange: dead)
        }
        bindings = zip(Stage.allCases, queues).map {
            Binding(exchange: tasks, queue: $1.name, routingKey: $0.rawValue)
        }
        queues.append(Queue(name: prefix + ".dead-letters"))
        bindings.append(Binding(exchange: dead, queue: prefix + ".dead-letters", routingKey: ""))
    }

    /// The exchange that task messages are published to, with the stage's raw value as routing key.
    public var tasksExchange: String { prefix + ".tasks" }
    /// The queue of messages that no worker could make sense of.
    public var deadLetterQueue: String { prefix + ".dead-letters" }
    /// The queue of a stage.
    public func queue(for stage: Stage) -> String { "\(prefix).\(stage.rawValue)" }
}

extension Topology.Queue {
    /// The `x-` arguments of the declaration.
    ///
    /// Dead-lettering is at-least-once: the message leaves this queue only when the dead-letter queue has confirmed it.
    /// RabbitMQ does that only where a full queue refuses new messages rather than dropping old ones.
    var arguments: [String: FieldValue] {
        var arguments: [String: FieldValue] = ["x-queue-type": .string("quorum")]
        if let deliveryLimit { arguments["x-delivery-limit"] = .integer(Int64(deliveryLimit)) }
        if let deadLetterExchange {
            arguments["x-dead-letter-exchange"] = .string(deadLetterExchange)
            arguments["x-dead-letter-strategy"] = .string("at-least-once")
            arguments["x-overflow"] = .string("reject-publish")
        }
        return arguments
    }
}
