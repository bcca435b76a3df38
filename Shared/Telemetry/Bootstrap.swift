import CoreMetrics
public import Logging
import Synchronization

/// Sets up logging and metrics for the whole process and returns what `/metrics` shows.
///
/// swift-log and swift-metrics may be set up only once in a process; later calls change nothing and return the same
/// registry, so that tests and a process which hosts several services need not take care.
/// - Parameters:
///   - service: The name in every log line.
///   - level: What to log; `LIKENESS_LOG_LEVEL` decides where a service leaves it to `Settings`.
@discardableResult
public func bootstrapTelemetry(service: String, level: Logger.Level = .info) -> PrometheusRegistry {
    bootstrapped.withLock { registry in
        if let registry { return registry }
        let new = PrometheusRegistry()
        LoggingSystem.bootstrap { _ in LineLogHandler(service: service, level: level) }
        MetricsSystem.bootstrap(new)
        registry = new
        return new
    }
}

private let bootstrapped = Mutex<PrometheusRegistry?>(nil)
