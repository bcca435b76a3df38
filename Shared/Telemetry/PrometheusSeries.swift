import CoreMetrics
import Synchronization

/// One line of a family, or one histogram: what a counter, gauge, recorder or timer object writes to.
final class Series: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler, TimerHandler {
    /// Upper bounds in seconds, from a database round trip to a picture made without an accelerator.
    static let seconds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800]
    /// Upper bounds for numbers of unknown size.
    static let general = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5, 1e6]

    private struct State {
        var value = 0.0
        var buckets: [UInt64] = []
        var count: UInt64 = 0
    }

    /// nil: a counter or gauge.
    private let bounds: [Double]?
    private let state: Mutex<State>

    init(bounds: [Double]?) {
        self.bounds = bounds
        state = Mutex(State(buckets: Array(repeating: 0, count: bounds?.count ?? 0)))
    }

    func increment(by amount: Int64) { increment(by: Double(amount)) }
    func increment(by amount: Double) { state.withLock { $0.value += amount } }
    func decrement(by amount: Double) { state.withLock { $0.value -= amount } }
    func reset() { state.withLock { $0.value = 0 } }
    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { state.withLock { $0.value = value } }
    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func record(_ value: Double) {
        guard let bounds else { return set(value) }
        state.withLock { state in
            if let bucket = bounds.firstIndex(where: { value <= $0 }) { state.buckets[bucket] += 1 }
            state.value += value
            state.count += 1
        }
    }

    /// A rendered line: what follows the family's name, the extra label, the number.
    struct Sample {
        var suffix = ""
        var extra: (String, String)?
        var value: Double
    }

    func samples() -> [Sample] {
        let state = state.withLock { $0 }
        guard let bounds else { return [Sample(value: state.value)] }
        var below: UInt64 = 0
        var samples = zip(bounds, state.buckets).map { bound, count in
            below += count
            return Sample(suffix: "_bucket", extra: ("le", prometheusNumber(bound)), value: Double(below))
        }
        samples.append(Sample(suffix: "_bucket", extra: ("le", "+Inf"), value: Double(state.count)))
        samples.append(Sample(suffix: "_sum", value: state.value))
        samples.append(Sample(suffix: "_count", value: Double(state.count)))
        return samples
    }
}

/// The labels of a series, in the order of their names so that equal sets are one series.
struct Labels: Hashable, Comparable {
    private let pairs: [String]

    init(_ dimensions: [(String, String)]) {
        pairs = dimensions.map(Self.pair).sorted()
    }

    func rendered(adding extra: (String, String)?) -> String {
        let all = pairs + (extra.map { [Self.pair($0)] } ?? [])
        return all.isEmpty ? "" : "{" + all.joined(separator: ",") + "}"
    }

    static func < (one: Labels, other: Labels) -> Bool { one.pairs.lexicographicallyPrecedes(other.pairs) }

    /// `name="value"` with backslash, quote and line feed escaped, as the format asks.
    private static func pair(_ dimension: (String, String)) -> String {
        var value = ""
        for character in dimension.1 {
            switch character {
            case "\\": value += "\\\\"
            case "\"": value += "\\\""
            case "\n": value += "\\n"
            default: value.append(character)
            }
        }
        return prometheusName(dimension.0).replacing(":", with: "_") + "=\"" + value + "\""
    }
}

/// The name with everything that Prometheus does not allow in a metric's name turned into `_`.
func prometheusName(_ name: String) -> String {
    let allowed = name.map { character -> Character in
        character.isASCII && (character.isLetter || character.isNumber || character == "_" || character == ":")
            ? character : "_"
    }
    return allowed.first?.isNumber ?? true ? "_" + String(allowed) : String(allowed)
}

/// The number as Prometheus writes it: whole numbers without a fraction, infinities as `+Inf` and `-Inf`.
func prometheusNumber(_ value: Double) -> String {
    if let whole = Int64(exactly: value) { return String(whole) }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    return value.isNaN ? "NaN" : String(value)
}
