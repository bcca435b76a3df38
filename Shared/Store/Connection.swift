internal import CPostgres
import Foundation

/// One libpq connection on a thread of its own. The one file, with `Listener`, that calls libpq.
actor Connection {
    private let executor: ThreadExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let settings: String
    private var owned: Handle?
    private var handle: OpaquePointer? { owned?.pointer }
    /// Names of the statements prepared on this connection.
    private var prepared: [String: String] = [:]

    /// - Parameter settings: a connection URI or string for libpq
    init(_ settings: String) {
        self.settings = settings
        executor = ThreadExecutor(name: "postgres")
    }

    deinit { executor.stop() }

    /// Closes the connection when it is let go. Only its actor's thread uses it.
    private final class Handle: @unchecked Sendable {
        let pointer: OpaquePointer

        init(_ pointer: OpaquePointer) { self.pointer = pointer }

        deinit { PQfinish(pointer) }
    }

    /// Connects unless connected.
    func open(statementTimeout: Duration) throws {
        if let handle, PQstatus(handle) == CONNECTION_OK { return }
        close()
        guard let pointer = PQconnectdb(settings) else { throw StoreError.connection("out of memory") }
        let opened = Handle(pointer)
        guard PQstatus(pointer) == CONNECTION_OK else {
            throw StoreError.connection(Self.text(PQerrorMessage(pointer)))
        }
        owned = opened
        PQsetNoticeProcessor(pointer, { _, _ in }, nil)
        let milliseconds = Int(statementTimeout / .milliseconds(1))
        _ = try command("SET statement_timeout = \(milliseconds); SET lock_timeout = \(milliseconds)")
    }

    func close() {
        owned = nil
        prepared = [:]
    }

    var isOpen: Bool { handle.map { PQstatus($0) == CONNECTION_OK } ?? false }

    /// Runs SQL without parameters; may hold several statements.
    @discardableResult
    func command(_ sql: String) throws -> [Row] {
        try rows(of: PQexec(handle, sql))
    }

    /// Runs one statement, prepared the first time this connection sees it.
    func query(_ sql: String, _ parameters: [String?]) throws -> [Row] {
        if let bad = parameters.first(where: { $0?.utf8.contains(0) ?? false }) {
            throw StoreError.invalid(
                "text with a NUL character cannot be stored: '\((bad ?? "").prefix(40))'; remove the character")
        }
        let name = try prepare(sql)
        let copies = parameters.map { $0.flatMap { strdup($0) } }
        defer { for copy in copies { free(copy) } }
        let pointers = copies.map { UnsafePointer($0) }
        return try rows(of: PQexecPrepared(handle, name, Int32(pointers.count), pointers, nil, nil, 0))
    }

    private func prepare(_ sql: String) throws -> String {
        if let name = prepared[sql] { return name }
        let name = "s\(prepared.count)"
        _ = try rows(of: PQprepare(handle, name, sql, 0, nil))
        prepared[sql] = name
        return name
    }

    private func rows(of result: OpaquePointer?) throws -> [Row] {
        defer { PQclear(result) }
        switch PQresultStatus(result) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: break
        default:
            let message = Self.text(PQerrorMessage(handle))
            // A broken connection has no SQLSTATE, or one that says so.
            guard isOpen, let field = PQresultErrorField(result, Int32(UInt8(ascii: "C"))) else {
                close()
                throw StoreError.connection(message)
            }
            throw StoreError.server(sqlState: String(cString: field), message: message)
        }
        let (rows, columns) = (PQntuples(result), PQnfields(result))
        let names = Dictionary(
            (0..<columns).map { (Self.text(PQfname(result, $0)), Int($0)) }, uniquingKeysWith: { first, _ in first })
        return (0..<rows).map { row in
            let values = (0..<columns).map { column -> String? in
                PQgetisnull(result, row, column) == 1 ? nil : Self.text(PQgetvalue(result, row, column))
            }
            return Row(columns: names, values: values)
        }
    }

    private static func text(_ pointer: UnsafePointer<CChar>?) -> String {
        pointer.map { String(cString: $0).trimmingCharacters(in: .newlines) } ?? "unknown error"
    }
}
