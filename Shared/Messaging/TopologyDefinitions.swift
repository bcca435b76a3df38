public import Foundation

extension Topology {
    /// The topology as RabbitMQ's definitions file: what `rabbitmqctl import_definitions` and the setting
    /// `load_definitions` read and the management API's `/api/definitions` reports.
    public func definitions(virtualHost: String = "/") throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(Definitions(self, virtualHost: virtualHost))
    }
}

/// The file's form; property names are RabbitMQ's.
private struct Definitions: Encodable {
    struct VirtualHost: Encodable {
        let name: String
    }

    struct Exchange: Encodable {
        let name: String
        let vhost: String
        let type: String
        let durable = true
        let auto_delete = false
        let `internal` = false
        let arguments: [String: FieldValue] = [:]
    }

    struct Queue: Encodable {
        let name: String
        let vhost: String
        let durable = true
        let auto_delete = false
        let arguments: [String: FieldValue]
    }

    struct Binding: Encodable {
        let source: String
        let vhost: String
        let destination: String
        let destination_type = "queue"
        let routing_key: String
        let arguments: [String: FieldValue] = [:]
    }

    let vhosts: [VirtualHost]
    let exchanges: [Exchange]
    let queues: [Queue]
    let bindings: [Binding]

    init(_ topology: Topology, virtualHost: String) {
        vhosts = [VirtualHost(name: virtualHost)]
        exchanges = topology.exchanges.map { Exchange(name: $0.name, vhost: virtualHost, type: $0.kind.rawValue) }
        queues = topology.queues.map { Queue(name: $0.name, vhost: virtualHost, arguments: $0.arguments) }
        bindings = topology.bindings.map {
            Binding(source: $0.exchange, vhost: virtualHost, destination: $0.queue, routing_key: $0.routingKey)
        }
    }
}
