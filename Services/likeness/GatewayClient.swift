import Contracts
import Foundation
import FoundationNetworking

/// Talks to the gateway.
struct GatewayClient: Sendable {
    static let defaultURL = "http://127.0.0.1:25600"

    private let base: URL
    private let session = URLSession(configuration: .ephemeral)

    /// The gateway that `LIKENESS_GATEWAY_URL` names.
    init() throws {
        let text = ProcessInfo.processInfo.environment["LIKENESS_GATEWAY_URL"] ?? Self.defaultURL
        guard let url = URL(string: text), url.host() != nil, ["http", "https"].contains(url.scheme) else {
            throw UserError("LIKENESS_GATEWAY_URL is '\(text)'", remedy: "set it to a URL such as \(Self.defaultURL)")
        }
        base = url
    }

    func get<T: Decodable>(_ path: [String], query: [URLQueryItem] = [], as type: T.Type = T.self) async throws -> T {
        try Self.decode(await send("GET", path, query: query))
    }

    /// A request without body whose answer is JSON.
    func post<T: Decodable>(_ path: [String], as type: T.Type = T.self) async throws -> T {
        try Self.decode(await send("POST", path))
    }

    func post<T: Decodable>(
        _ path: [String], _ body: some Encodable, headers: [String: String] = [:], as type: T.Type = T.self
    ) async throws -> T {
        var headers = headers
        headers["Content-Type"] = "application/json"
        return try Self.decode(await send("POST", path, body: try JSONEncoder.likeness.encode(body), headers: headers))
    }

    /// Sends a photo; says whether it was new.
    func upload(
        _ photo: Data, to person: String, filename: String, caption: String?, face: FaceEmbedding? = nil
    ) async throws -> Bool {
        var headers = ["Content-Type": "application/octet-stream", "X-Filename": Self.encoded(filename)]
        headers["X-Caption"] = caption.map(Self.encoded)
        headers["X-Face-Embedding"] = face?.base64
        let answer = try await send("POST", ["v1", "people", person, "photos"], body: photo, headers: headers)
        return answer.status == 201
    }

    /// Sends a picture that requests can then name by its key.
    func upload(_ path: String) async throws -> ObjectView {
        let url = URL(filePath: path)
        let data: Data
        do { data = try Data(contentsOf: url) } catch {
            throw UserError("cannot read '\(path)': \(error.localizedDescription)", remedy: "check the path")
        }
        let headers = [
            "Content-Type": "application/octet-stream", "X-Filename": Self.encoded(url.lastPathComponent),
        ]
        return try Self.decode(await send("POST", ["v1", "objects"], body: data, headers: headers))
    }

    func delete(_ path: [String]) async throws { _ = try await send("DELETE", path) }

    /// The bytes behind a key of the object store.
    func object(_ key: String) async throws -> Data {
        try await send("GET", ["v1", "objects"] + key.split(separator: "/").map(String.init)).body
    }

    private struct Answer {
        let status: Int
        let body: Data
    }

    private func send(
        _ method: String, _ path: [String], query: [URLQueryItem] = [], body: Data? = nil,
        headers: [String: String] = [:]
    ) async throws -> Answer {
        var request = URLRequest(url: try url(path, query), timeoutInterval: 60)
        request.httpMethod = method
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let (data, response): (Data, URLResponse)
        do {
            if let body {
                (data, response) = try await session.upload(for: request, from: body)
            } else {
                (data, response) = try await session.data(for: request)
            }
        } catch let error as URLError {
            throw GatewayError.unreachable("\(base.absoluteString): \(error.localizedDescription)")
        }
        guard let status = (response as? HTTPURLResponse)?.statusCode else {
            throw UserError("\(base.absoluteString) does not speak HTTP", remedy: "check LIKENESS_GATEWAY_URL")
        }
        guard (200..<300).contains(status) else {
            let view: ErrorView
            do { view = try JSONDecoder.likeness.decode(ErrorView.self, from: data) } catch {
                throw UserError(
                    "\(method) \(request.url?.path() ?? "") was answered with \(status)",
                    remedy: "check that \(base.absoluteString) is Likeness' gateway")
            }
            throw GatewayError.refused(status: status, view)
        }
        return Answer(status: status, body: data)
    }

    private func url(_ path: [String], _ query: [URLQueryItem]) throws -> URL {
        var components = URLComponents(url: base, resolvingAgainstBaseURL: false)
        let prefix = base.path(percentEncoded: true)
        components?.percentEncodedPath =
            (prefix.hasSuffix("/") ? String(prefix.dropLast()) : prefix) + "/"
            + path.map(Self.encoded).joined(separator: "/")
        components?.queryItems = query.isEmpty ? nil : query
        guard let url = components?.url else {
            throw UserError("'\(path.joined(separator: "/"))' cannot be put into a URL", remedy: "use another name")
        }
        return url
    }

    private static func encoded(_ text: String) -> String {
        let unreserved = CharacterSet(
            charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? text
    }

    private static func decode<T: Decodable>(_ answer: Answer) throws -> T {
        do {
            return try JSONDecoder.likeness.decode(T.self, from: answer.body)
        } catch {
            throw UserError(
                "the gateway's answer cannot be read (\(error))", remedy: "use a gateway and a client of one version")
        }
    }
}

/// Why the gateway did not do what was asked.
enum GatewayError: Error {
    /// No answer.
    case unreachable(String)
    /// It said no, and why.
    case refused(status: Int, ErrorView)

    /// Worth asking again: the gateway or what it needs is starting, stopping or away for a moment.
    var isTemporary: Bool {
        switch self {
        case .unreachable: true
        case .refused(let status, _): status == 503
        }
    }

    /// For the user.
    var inWords: UserError {
        switch self {
        case .unreachable(let what):
            UserError(
                "the gateway does not answer at \(what)",
                remedy: "start it with deploy/demo, or name another one with LIKENESS_GATEWAY_URL")
        case .refused(_, let view): UserError(view.error, remedy: view.remedy)
        }
    }
}
