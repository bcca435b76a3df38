public import CoreMetrics
import Synchronization

/// Keeps every counter, gauge and histogram of the process and renders them in Prometheus' text form.
///
/// swift-metrics' kinds map so: counters → `counter`; meters and non-aggregating recorders → `gauge`; timers (in
/// seconds) and aggregating recorders → `histogram`.
/// Form: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format (version 0.0.4).
public final class PrometheusRegistry: MetricsFactory {
    /// What `/metrics` answers as its Content-Type.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private enum Kind: String { case counter, gauge, histogram }

    private struct Family {
        let kind: Kind
        var series: [Labels: Series] = [:]
    }

    private let families = Mutex<[String: Family]>([:])

    /// Makes an empty registry.
    public init() {}

    /// All metrics as text, ordered by name and labels.
    public func render() -> String {
        let families = families.withLock { $0 }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                for sample in series.samples() {
                    let label = labels.rendered(adding: sample.extra)
                    text += "\(name)\(sample.suffix)\(label) \(prometheusNumber(sample.value))\n"
                }
            }
        }
        return text
    }

    private func series(_ label: String, _ dimensions: [(String, String)], _ kind: Kind, timer: Bool = false) -> Series
    {
        let labels = Labels(dimensions)
        let plain = prometheusName(label)
        return families.withLock { families in
            // One name has one type in this format; a second kind under the same name gets its kind appended.
            let name = families[plain].map { $0.kind == kind } ?? true ? plain : "\(plain)_\(kind.rawValue)"
            if let series = families[name]?.series[labels] { return series }
            let series = Series(bounds: kind == .histogram ? (timer ? Series.seconds : Series.general) : nil)
            families[name, default: Family(kind: kind)].series[labels] = series
            return series
        }
    }

    private func remove(_ handler: AnyObject) {
        families.withLock { families in
            for (name, family) in families {
                guard let labels = family.series.first(where: { $0.value === handler })?.key else { continue }
                families[name]?.series[labels] = nil
                if family.series.count == 1 { families[name] = nil }
            }
        }
    }

    /// A counter that counts in whole steps.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, dimensions, .counter)
    }

    /// A counter that counts in any steps.
    public func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        series(label, dimensions, .counter)
    }

    /// A gauge that can go up and down.
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, dimensions, .gauge)
    }

    /// A histogram where aggregating, otherwise a gauge.
    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        series(label, dimensions, aggregate ? .histogram : .gauge)
    }

    /// A histogram of seconds.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, dimensions, .histogram, timer: true)
    }

    /// Forgets the series.
    public func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
    /// Forgets the series.
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
    /// Forgets the series.
    public func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
    /// Forgets the series.
    public func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
    /// Forgets the series.
    public func destroyTimer(_ handler: any TimerHandler) { remove(handler) }
}
