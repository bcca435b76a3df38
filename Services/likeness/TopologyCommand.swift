import ArgumentParser
import Foundation
import Messaging

/// `likeness topology`: exchanges, queues and bindings as RabbitMQ reads them.
struct TopologyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topology", abstract: "Prints the topology as a RabbitMQ definitions file.",
        discussion: "Services declare the same by themselves whenever they connect.")

    @Option(help: "First part of every name (LIKENESS_QUEUE_PREFIX of the services).") var prefix = "likeness"
    @Option(help: "Virtual host.") var vhost = "/"

    func run() throws {
        let definitions = try Topology(prefix: prefix).definitions(virtualHost: vhost)
        print(String(decoding: definitions, as: UTF8.self))
    }
}
