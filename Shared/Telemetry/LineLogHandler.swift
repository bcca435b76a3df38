import Foundation
public import Logging

/// Writes each log entry as one line to standard error: time, level, service, message, then `key=value` metadata.
///
///     2026-11-24T04:02:07.356Z warning denoiser lost the broker reason="connection reset" retry=0.4s
///
/// One `write` call for each line keeps lines of several processes on one terminal apart.
public struct LineLogHandler: LogHandler {
    /// Written with every entry.
    public var metadata: Logger.Metadata = [:]
    /// Entries below it are left out.
    public var logLevel: Logger.Level
    /// Adds metadata from the task's context.
    public var metadataProvider: Logger.MetadataProvider?
    private let service: String
    private let write: @Sendable (String) -> Void

    /// Makes a handler.
    /// - Parameters:
    ///   - service: The name in every line.
    ///   - level: Entries below it are left out.
    ///   - write: Where a finished line (with its newline) goes; standard error unless a test says otherwise.
    public init(
        service: String, level: Logger.Level, write: @escaping @Sendable (String) -> Void = Self.writeToStandardError
    ) {
        (self.service, logLevel, self.write) = (service, level, write)
    }

    /// One value of `metadata`.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes the entry.
    public func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { _, new in new } }
        if let own = event.metadata { fields.merge(own) { _, new in new } }
        if let error = event.error { fields["error"] = "\(error)" }
        let time = Date.now.formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true))
        var line = "\(time)Z \(event.level) \(service) \(Self.oneLine(event.message.description))"
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            line += " \(key)=\(Self.quoted(value.description))"
        }
        write(line + "\n")
    }

    /// Writes the text to file descriptor 2. A full or closed standard error must not stop a service, so a failing
    /// write is the one failure that goes unreported: there is nowhere left to report it.
    @Sendable public static func writeToStandardError(_ text: String) {
        _ = text.utf8.withContiguousStorageIfAvailable { Foundation.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    private static func oneLine(_ text: String) -> String {
        text.replacingOccurrences(of: "\n", with: "\\n")
    }

    private static func quoted(_ value: String) -> String {
        let plain = value.allSatisfy { !$0.isWhitespace && $0 != "\"" && $0 != "=" }
        guard value.isEmpty || !plain else { return value }
        return "\"" + oneLine(value.replacingOccurrences(of: "\"", with: "\\\"")) + "\""
    }
}
