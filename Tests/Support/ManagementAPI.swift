public import Foundation
import FoundationNetworking

/// RabbitMQ's management API, the broker's own view of what a client did.
public struct ManagementAPI: Sendable {
    private let base: URL
    private let authorization: String

    /// The API beside a broker that `deploy/servers` started: one port further, same user.
    public init(amqpURL: String) throws {
        guard let url = URLComponents(string: amqpURL), let host = url.host, let port = url.port,
            let base = URL(string: "http://\(host):\(port + 1)/api/")
        else { throw TestFailure("cannot tell the management API's address from \(amqpURL)") }
        self.base = base
        let login = "\(url.user ?? "guest"):\(url.password ?? "guest")"
        authorization = "Basic " + Data(login.utf8).base64EncodedString()
    }

    /// The answer to a GET.
    public func get<Answer: Decodable>(_ path: String, as type: Answer.Type = Answer.self) async throws -> Answer {
        try await JSONDecoder().decode(type, from: send("GET", path))
    }

    /// Sends a DELETE.
    public func delete(_ path: String) async throws { _ = try await send("DELETE", path) }

    /// The raw answer to a request.
    @discardableResult
    public func send(_ method: String, _ path: String, body: Data? = nil) async throws -> Data {
        guard let url = URL(string: path, relativeTo: base) else { throw TestFailure("no path: \(path)") }
        var request = URLRequest(url: url)
        request.httpMethod = method
        request.httpBody = body
        request.setValue(authorization, forHTTPHeaderField: "Authorization")
        let (data, response) = try await URLSession.shared.data(for: request)
        guard let status = (response as? HTTPURLResponse)?.statusCode, (200..<300).contains(status) else {
            throw TestFailure("\(method) \(url): \(response) \(String(decoding: data, as: UTF8.self))")
        }
        return data
    }

    /// Closes the connection with this name from the broker's side, as an operator would, once the broker lists it.
    public func closeConnection(named name: String) async throws {
        struct Connection: Decodable {
            let name: String
            let user_provided_name: String?
        }
        try await eventually("the broker lists connection \(name)") {
            // While connections come and go, RabbitMQ 3.10 now and then answers the list with 500.
            guard let all = try? await get("connections", as: [Connection].self) else { return false }
            guard let found = all.first(where: { $0.user_provided_name == name }) else { return false }
            let path = found.name.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? found.name
            try await delete("connections/\(path)")
            return true
        }
    }
}
