import Foundation
public import Logging
public import Messaging
public import ServiceLifecycle
public import Store
public import Telemetry
import UnixSignals

/// What a service works with: opened once, in `main`.
public struct Resources: Sendable {
    /// What the environment says.
    public let settings: Settings
    public let logger: Logger
    /// What `/metrics` shows.
    public let metrics: PrometheusRegistry
    public let broker: Broker
    public let database: Database
    public let objects: any ObjectStore
    /// This process in the `workers` table.
    public let presence: Presence

    /// Connects to the broker and the database, waiting up to two minutes for them, and brings the schema up to date:
    /// services may be started in any order.
    public static func open(service: String, settings: Settings) async throws -> Resources {
        guard let level = Logger.Level(rawValue: settings.logLevel) else {
            let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw SettingsError("LIKENESS_LOG_LEVEL=\(settings.logLevel): must be one of \(levels)")
        }
        let metrics = bootstrapTelemetry(service: service, level: level)
        var logger = Logger(label: service)
        logger.logLevel = level
        let broker = Broker(
            .init(
                address: try BrokerAddress(url: settings.amqpURL), topology: Topology(prefix: settings.queuePrefix),
                name: service, logger: logger))
        let database = Database(url: settings.postgresURL, logger: logger)
        try await broker.ready(within: .seconds(120))
        try await database.migrate()
        return Resources(
            settings: settings, logger: logger, metrics: metrics, broker: broker, database: database,
            objects: FolderObjectStore(settings.objects),
            presence: Presence(service: service, name: settings.worker, database: database, logger: logger))
    }
}

/// The whole life of a service: settings, resources, its own parts, then running until SIGTERM or SIGINT.
///
/// An error before it runs is printed in words and ends the process with status 1.
///
/// - Parameter parts: makes what this service runs besides its connections; shut down last to first
public func runService(
    _ name: String, _ parts: @Sendable (Resources) async throws -> [any Service]
) async {
    do {
        let resources = try await Resources.open(service: name, settings: .environment())
        var services: [any Service] = [resources.database, resources.broker, resources.presence]
        if let port = resources.settings.metricsPort { services.append(MetricsServer(resources, port: port)) }
        services += try await parts(resources)
        let group = ServiceGroup(
            configuration: .init(
                services: services.map {
                    .init(service: $0, successTerminationBehavior: .gracefullyShutdownGroup)
                },
                gracefulShutdownSignals: [.sigterm, .sigint], logger: resources.logger))
        try await group.run()
    } catch {
        FileHandle.standardError.write(Data("\(name): error: \(error)\n".utf8))
        exit(1)
    }
}
