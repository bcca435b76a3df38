import Foundation

/// Where the broker is and how to log in: an AMQP URL, taken apart.
///
///     amqp://user:password@host:5672/vhost
///     amqps://user:password@host:5671/vhost?cacertfile=/etc/ssl/own-ca.pem&certfile=…&keyfile=…&verify=verify_none
///
/// The grammar and the query keys are RabbitMQ's (https://www.rabbitmq.com/uri-spec.html and uri-query-parameters.html).
/// As most clients do, and unlike the grammar's letter, a lone `/` means the virtual host `/` and not one without name.
public struct BrokerAddress: Sendable, Hashable {
    /// Host name or address.
    public var host: String
    /// TCP port; 5672, or 5671 with TLS, where the URL names none.
    public var port: Int
    /// User to log in as.
    public var user: String
    /// Password of the user; never part of `description`.
    public var password: String
    /// Virtual host.
    public var virtualHost: String
    /// How to secure the connection; nil for plain TCP.
    public var tls: TLS?

    /// What `amqps` adds.
    public struct TLS: Sendable, Hashable {
        /// PEM file with the certificate authorities to trust.
        public var authorities = "/etc/ssl/certs/ca-certificates.crt"
        /// PEM files with the client's certificate and key, where the broker asks for one.
        public var certificate: String?
        /// See `certificate`.
        public var key: String?
        /// Check the broker's certificate and its host name.
        public var verifiesPeer = true

        /// Trusts the authorities that Debian's package ca-certificates installs.
        public init() {}
    }

    /// Takes a URL apart.
    /// - Throws: ``BrokerError/invalidURL(url:problem:)``, with the password hidden.
    public init(url: String) throws {
        func invalid(_ problem: String) -> BrokerError {
            .invalidURL(url: Self.hidingPassword(in: url), problem: problem)
        }
        guard let parts = URLComponents(string: url) else { throw invalid("it is not a URL") }
        switch parts.scheme?.lowercased() {
        case "amqp": tls = nil
        case "amqps": tls = TLS()
        default: throw invalid("it must begin with amqp:// or amqps://")
        }
        guard let host = parts.host, !host.isEmpty else { throw invalid("it names no host") }
        self.host = host.trimmingCharacters(in: ["[", "]"])  // IPv6 literals
        port = parts.port ?? (tls == nil ? 5672 : 5671)
        guard (1...65535).contains(port) else { throw invalid("port \(port) is not from 1 to 65535") }
        user = parts.user ?? "guest"
        password = parts.password ?? "guest"
        let path = parts.percentEncodedPath.dropFirst()
        guard !path.contains("/"), let name = path.removingPercentEncoding else {
            throw invalid("a virtual host's name is one path segment; write / within it as %2F")
        }
        virtualHost = name.isEmpty ? "/" : name
        for item in parts.queryItems ?? [] {
            let value = item.value ?? ""
            switch (item.name, value) {
            case _ where tls == nil: throw invalid("'\(item.name)' has a meaning for amqps:// only")
            case ("cacertfile", _): tls?.authorities = value
            case ("certfile", _): tls?.certificate = value
            case ("keyfile", _): tls?.key = value
            case ("verify", "verify_peer"): tls?.verifiesPeer = true
            case ("verify", "verify_none"): tls?.verifiesPeer = false
            case ("verify", _): throw invalid("verify is '\(value)'; it must be verify_peer or verify_none")
            default: throw invalid("'\(item.name)' is not known; use cacertfile, certfile, keyfile, verify")
            }
        }
        if let tls, (tls.certificate == nil) != (tls.key == nil) { throw invalid("certfile and keyfile go together") }
    }

    /// The text with what stands between the first `:` of the user part and the last `@` replaced by `***`.
    private static func hidingPassword(in url: String) -> String {
        guard let scheme = url.range(of: "://"), let at = url.range(of: "@", options: .backwards),
            scheme.upperBound <= at.lowerBound,
            let colon = url.range(of: ":", range: scheme.upperBound..<at.lowerBound)
        else { return url }
        return url.replacingCharacters(in: colon.upperBound..<at.lowerBound, with: "***")
    }
}

extension BrokerAddress: CustomStringConvertible {
    /// The URL without the password.
    public var description: String {
        let path = virtualHost == "/" ? "" : virtualHost
        return "\(tls == nil ? "amqp" : "amqps")://\(user)@\(host):\(port)/\(path)"
    }
}
