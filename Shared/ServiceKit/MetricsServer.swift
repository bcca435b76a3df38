import Hummingbird
import ServiceLifecycle
import Telemetry

/// Answers `/metrics` on loopback, for Prometheus.
struct MetricsServer: Service {
    private let resources: Resources
    private let port: Int

    init(_ resources: Resources, port: Int) { (self.resources, self.port) = (resources, port) }

    func run() async throws {
        let router = Router()
        let registry = resources.metrics
        router.get("metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: PrometheusRegistry.contentType],
                body: .init(byteBuffer: .init(string: registry.render())))
        }
        let server = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: port), serverName: "likeness"),
            logger: resources.logger)
        do { try await server.run() } catch {
            throw SettingsError("LIKENESS_METRICS_PORT=\(port): cannot listen there: \(error)")
        }
    }
}
