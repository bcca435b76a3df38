public import Configuration
public import Foundation

/// What every service reads from its environment (or any other provider of swift-configuration).
///
/// A key such as `amqp.url` is the variable `LIKENESS_AMQP_URL`. README.md lists them all.
public struct Settings: Sendable {
    /// `LIKENESS_AMQP_URL`
    public var amqpURL: String
    /// `LIKENESS_POSTGRES_URL`
    public var postgresURL: String
    /// `LIKENESS_QUEUE_PREFIX`: first part of every exchange's and queue's name.
    public var queuePrefix: String
    /// `LIKENESS_OBJECTS`: folder of the object store, seen by all services.
    public var objects: URL
    /// `LIKENESS_MODELS`: a Stable Diffusion 1.5 folder.
    public var models: URL
    /// `LIKENESS_IP_ADAPTER`: where the adapter is, if not in or beside the models folder.
    public var ipAdapter: URL?
    /// `LIKENESS_THREADS`: threads to compute with; 0 stands for all cores.
    public var threads: Int
    /// `LIKENESS_PRECISION`: `bf16` lets the denoiser round numbers before products, where the CPU is faster so; `f32` by
    /// default.
    public var precision: String
    /// `LIKENESS_TRAINING`: folder of the states of training runs, best seen by all trainers.
    public var training: URL
    /// `LIKENESS_FINE_TUNED_MODELS`: people's own models that a denoiser keeps in memory.
    public var fineTunedModels: Int
    /// `LIKENESS_SAFETY_CHECKER`: `on` blacks pictures that the model folder's `safety_checker` flags; off by default.
    public var safetyChecker: Bool
    /// `LIKENESS_LEASE_SECONDS`: how long a worker may be silent before its task is given to another.
    public var lease: Duration
    /// `LIKENESS_METRICS_PORT`: where this process answers `/metrics`, on loopback; nil for nowhere.
    public var metricsPort: Int?
    /// `LIKENESS_LOG_LEVEL`
    public var logLevel: String
    /// `LIKENESS_WORKER`: this process's name in listings; must be unique.
    public var worker: String?

    /// Reads the process's environment.
    public static func environment() throws -> Settings {
        try Settings(ConfigReader(provider: EnvironmentVariablesProvider()).scoped(to: "likeness"))
    }

    /// Reads any configuration.
    public init(_ config: ConfigReader) throws {
        func required(_ key: ConfigKey, _ variable: String, _ example: String) throws -> String {
            guard let value = config.string(forKey: key), !value.isEmpty else {
                throw SettingsError(
                    "\(variable) is not set; for example \(variable)=\(example). "
                        + "`deploy/servers env` prints those of the private servers")
            }
            return value
        }
        func positive(_ key: ConfigKey, _ variable: String, _ standard: Int) throws -> Int {
            guard let text = config.string(forKey: key), !text.isEmpty else { return standard }
            guard let value = Int(text), value >= 0, value <= 86_400 else {
                throw SettingsError("\(variable)=\(text): must be a whole number from 0 to 86400")
            }
            return value
        }
        amqpURL = try required("amqp.url", "LIKENESS_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
        postgresURL = try required(
            "postgres.url", "LIKENESS_POSTGRES_URL", "postgresql://likeness@127.0.0.1:5432/likeness")
        queuePrefix = config.string(forKey: "queue.prefix", default: "likeness")
        objects = URL(fileURLWithPath: config.string(forKey: "objects", default: ".likeness/objects"))
        models = URL(fileURLWithPath: config.string(forKey: "models", default: "deploy/miniature"))
        ipAdapter = config.string(forKey: "ip.adapter").map { URL(fileURLWithPath: $0) }
        threads = try positive("threads", "LIKENESS_THREADS", 0)
        precision = config.string(forKey: "precision", default: "f32")
        guard ["f32", "bf16"].contains(precision) else {
            throw SettingsError("LIKENESS_PRECISION=\(precision): must be f32 or bf16")
        }
        training = URL(fileURLWithPath: config.string(forKey: "training", default: ".likeness/training"))
        fineTunedModels = try positive("fine.tuned.models", "LIKENESS_FINE_TUNED_MODELS", 2)
        guard fineTunedModels >= 1 else {
            throw SettingsError("LIKENESS_FINE_TUNED_MODELS=0: a denoiser needs room for at least 1")
        }
        let safety = config.string(forKey: "safety.checker", default: "off")
        guard ["on", "off"].contains(safety) else {
            throw SettingsError("LIKENESS_SAFETY_CHECKER=\(safety): must be on or off")
        }
        safetyChecker = safety == "on"
        let seconds = try positive("lease.seconds", "LIKENESS_LEASE_SECONDS", 30)
        guard seconds >= 1 else { throw SettingsError("LIKENESS_LEASE_SECONDS=0: must be at least 1") }
        lease = .seconds(seconds)
        metricsPort = try config.string(forKey: "metrics.port").map { text in
            guard let port = Int(text), (1...65_535).contains(port) else {
                throw SettingsError("LIKENESS_METRICS_PORT=\(text): must be a port, 1 to 65535")
            }
            return port
        }
        logLevel = config.string(forKey: "log.level", default: "info")
        worker = config.string(forKey: "worker")
    }
}

/// A setting that is missing or makes no sense; says which and what to do.
public struct SettingsError: Error, CustomStringConvertible, Sendable {
    /// In words.
    public let description: String

    /// An error with this text.
    public init(_ description: String) { self.description = description }
}
