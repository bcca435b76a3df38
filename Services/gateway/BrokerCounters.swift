import Foundation
import FoundationNetworking
import Logging
import Messaging
import ServiceKit

/// Asks RabbitMQ's management API how many messages each queue has seen since the broker started. AMQP itself has no
/// such counters.
struct BrokerCounters: Sendable {
    /// Messages of one queue.
    struct Counts: Sendable {
        var published: Int
        var delivered: Int
        var acknowledged: Int
    }

    private let request: URLRequest
    private let session: URLSession
    private let logger: Logger

    /// - Parameters:
    ///   - url: of the management listener, such as `http://127.0.0.1:15672`; nil or empty: not asked
    ///   - amqp: the broker's AMQP URL; login and virtual host are the same here
    init?(url: String?, amqp: String, logger: Logger) throws {
        guard let url, !url.isEmpty else { return nil }
        let address = try BrokerAddress(url: amqp)
        guard let vhost = address.virtualHost.addingPercentEncoding(withAllowedCharacters: .alphanumerics),
            let queues = URL(string: (url.hasSuffix("/") ? String(url.dropLast()) : url) + "/api/queues/" + vhost)
        else {
            throw SettingsError("LIKENESS_RABBITMQ_MANAGEMENT_URL=\(url): must be a URL such as http://127.0.0.1:15672")
        }
        var request = URLRequest(url: queues, timeoutInterval: 2)
        let login = Data("\(address.user):\(address.password)".utf8).base64EncodedString()
        request.setValue("Basic \(login)", forHTTPHeaderField: "Authorization")
        (self.request, self.logger) = (request, logger)
        session = URLSession(configuration: .ephemeral)
    }

    /// Counters by queue; none while the management API does not answer.
    func byQueue() async -> [String: Counts] {
        do {
            let (data, response) = try await session.data(for: request)
            guard (response as? HTTPURLResponse)?.statusCode == 200 else {
                logger.warning("RabbitMQ's management API refused", metadata: ["answer": "\(response)"])
                return [:]
            }
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            let queues = try decoder.decode([Queue].self, from: data)
            return Dictionary(queues.map { ($0.name, $0.counts) }, uniquingKeysWith: { first, _ in first })
        } catch {
            logger.warning("RabbitMQ's management API does not answer", metadata: ["error": "\(error)"])
            return [:]
        }
    }

    /// The part of `/api/queues/{vhost}` that matters. A queue that has seen nothing has no statistics.
    private struct Queue: Decodable {
        struct Statistics: Decodable {
            var publish: Int?
            var deliver: Int?
            var ack: Int?
        }

        var name: String
        var messageStats: Statistics?

        var counts: Counts {
            Counts(
                published: messageStats?.publish ?? 0, delivered: messageStats?.deliver ?? 0,
                acknowledged: messageStats?.ack ?? 0)
        }
    }
}
