import Foundation
import ServiceKit

/// What only the gateway reads from its environment.
struct GatewaySettings: Sendable {
    /// `LIKENESS_GATEWAY_HOST`: the address to listen on. There is no login: keep it on a trusted network.
    var host: String
    /// `LIKENESS_GATEWAY_PORT`
    var port: Int
    /// `LIKENESS_RABBITMQ_MANAGEMENT_URL`: where to ask for message counters; nil: they are left out.
    var managementURL: String?

    /// Reads the process's environment.
    static func environment(_ values: [String: String] = ProcessInfo.processInfo.environment) throws -> GatewaySettings
    {
        let text = values["LIKENESS_GATEWAY_PORT"] ?? "25600"
        guard let port = Int(text), (1...65_535).contains(port) else {
            throw SettingsError("LIKENESS_GATEWAY_PORT=\(text): must be a port, a number from 1 to 65535")
        }
        return GatewaySettings(
            host: values["LIKENESS_GATEWAY_HOST"] ?? "127.0.0.1", port: port,
            managementURL: values["LIKENESS_RABBITMQ_MANAGEMENT_URL"])
    }
}
