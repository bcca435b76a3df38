import Contracts
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import Messaging
import Store

typealias Context = BasicRequestContext

/// One line of the API: what answers which requests.
struct Route: Sendable {
    let method: HTTPRequest.Method
    let path: RouterPath
    let answer: @Sendable (Request, Context) async throws -> Response

    init(
        _ method: HTTPRequest.Method, _ path: RouterPath,
        _ answer: @escaping @Sendable (Request, Context) async throws -> Response
    ) {
        (self.method, self.path, self.answer) = (method, path, answer)
    }
}

/// Puts routes under one router, with errors as `ErrorView`s.
func makeRouter(_ routes: [Route]) -> Router<Context> {
    let router = Router(context: Context.self)
    router.add(middleware: MetricsMiddleware())
    router.add(middleware: ErrorMiddleware(routes: routes.map { ($0.method, $0.path) }))
    for route in routes { router.on(route.path, method: route.method, use: route.answer) }
    return router
}

/// Turns every error into an answer that names the input and the remedy.
struct ErrorMiddleware: RouterMiddleware {
    let routes: [(method: HTTPRequest.Method, path: RouterPath)]

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as APIError {
            return try answer(error)
        } catch let error as HTTPError where error.status == .notFound {
            return try noRoute(request)
        } catch let error as HTTPError {
            return try answer(
                APIError(error.status.code, error.body ?? error.status.reasonPhrase, remedy: "correct the request"))
        } catch let error as StoreError where error.isRetryable || error.isTimeout {
            context.logger.warning("Postgres is away", metadata: ["error": "\(error)"])
            return try unavailable("the database cannot be reached")
        } catch let error as BrokerError where error.isRetryable {
            context.logger.warning("RabbitMQ is away", metadata: ["error": "\(error)"])
            return try unavailable("the message broker cannot be reached")
        } catch let error as StoreError where error.isCallersFault {
            return try answer(.invalid("\(error)", remedy: "correct the request"))
        } catch StoreError.server(sqlState: "23503", _) {
            // A foreign key: someone removed the person while this request was at work.
            return try answer(APIError(409, "the person has just been removed", remedy: "list people and try again"))
        } catch is CancellationError {
            return try unavailable("the gateway is stopping")
        } catch {
            context.logger.error(
                "request failed",
                metadata: ["method": "\(request.method)", "path": "\(request.uri.path)", "error": "\(error)"])
            return try answer(
                APIError(500, "the gateway failed while answering", remedy: "see the gateway's log for the reason"))
        }
    }

    private func answer(_ error: APIError) throws -> Response {
        try .json(ErrorView(error: error.error, remedy: error.remedy), status: .init(code: error.status))
    }

    private func unavailable(_ problem: String) throws -> Response {
        var response = try answer(
            APIError(503, problem, remedy: "try again in some seconds; an operator sees more with likeness status"))
        response.headers[.retryAfter] = "5"
        return response
    }

    /// 405 where only the method is wrong, else 404.
    private func noRoute(_ request: Request) throws -> Response {
        let path = request.uri.path
        let parts = path.split(separator: "/")
        let methods = routes.filter { route in
            route.path.count == parts.count && zip(route.path, parts).allSatisfy { $0 ~= $1 }
        }.map(\.method.rawValue)
        guard !methods.isEmpty else {
            let list = routes.map { "\($0.method.rawValue) \($0.path)" }.joined(separator: ", ")
            return try answer(
                APIError(404, "there is nothing at \(path.prefix(200))", remedy: "the routes are \(list)")
            )
        }
        let allowed = methods.joined(separator: ", ")
        var response = try answer(
            APIError(405, "\(path.prefix(200)) does not take \(request.method)", remedy: "use \(allowed)"))
        response.headers[.allow] = allowed
        return response
    }
}

extension StoreError {
    fileprivate var isCallersFault: Bool { if case .invalid = self { true } else { false } }
    /// The server gave a statement up (SQLSTATE 57014), mostly while it waited for a lock.
    fileprivate var isTimeout: Bool { if case .server(sqlState: "57014", _) = self { true } else { false } }
}

extension Response {
    static func json(_ body: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let data = try JSONEncoder.likeness.encode(body)
        return Response(
            status: status, headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
    }

    static func data(_ data: Data, type: String, headers: HTTPFields = [:]) -> Response {
        var headers = headers
        headers[.contentType] = type
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
    }

    static func text(_ text: String, status: HTTPResponse.Status = .ok, type: String = "text/plain; charset=utf-8")
        -> Response
    {
        Response(
            status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

extension Request {
    /// The whole body.
    /// - Throws: `APIError` (413) beyond `limit` bytes, without reading much further.
    func bytes(upTo limit: Int, of what: String) async throws -> Data {
        let tooLarge = APIError(
            413, "\(what) is larger than \(limit / 1_000_000) MB", remedy: "send at most \(limit) bytes")
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge }
        var data = Data()
        for try await buffer in body {
            guard data.count + buffer.readableBytes <= limit else { throw tooLarge }
            data.append(contentsOf: buffer.readableBytesView)
        }
        return data
    }

    /// The body, read as JSON.
    /// - Throws: `APIError` (400) saying what is wrong and where.
    func decode<T: Decodable>(_ type: T.Type, of what: String) async throws -> T {
        try APIError.decode(type, from: await bytes(upTo: Limits.jsonBytes, of: what), of: what)
    }

    /// A percent-encoded value from a header, or else from the query.
    func annotation(header: HTTPField.Name?, query: String) throws -> String? {
        let fromHeader = try header.flatMap { headers[$0] }.map { value in
            guard let text = value.removingPercentEncoding else {
                throw APIError(
                    400, "header \(header?.rawName ?? "") is '\(value)'", remedy: "percent-encode it as UTF-8")
            }
            return text
        }
        let text = fromHeader ?? uri.queryParameters[Substring(query)].map(String.init)
        guard let text else { return nil }
        guard text.length <= Limits.captionCharacters, !text.unicodeScalars.contains("\0") else {
            throw APIError.invalid(
                "the \(query) has \(text.length) characters or holds a NUL",
                remedy: "send at most \(Limits.captionCharacters) characters")
        }
        return text
    }
}

extension Context {
    /// A path segment, decoded.
    func segment(_ name: String) throws -> String {
        let raw = try parameters.require(name)
        guard let text = raw.removingPercentEncoding, !text.unicodeScalars.contains("\0") else {
            throw APIError(400, "'\(raw)' in the path is not percent-encoded UTF-8", remedy: "encode it so")
        }
        return text
    }

    /// A path segment that is an id.
    func id(_ name: String, of what: String) throws -> UUID {
        let text = try segment(name)
        guard let id = UUID(uuidString: text) else {
            throw APIError(
                400, "'\(text.prefix(100))' is not an id", remedy: "give the \(what)'s UUID, as the list shows it")
        }
        return id
    }
}
