/// Waiting times between attempts: doubling from `base` to `cap`, each shortened by a random part of up to a half so
/// that services which lost the same server do not come back in step.
public struct Backoff: Sendable {
    /// The first waiting time, before chance.
    public let base: Duration
    /// The longest waiting time.
    public let cap: Duration
    /// Attempts since the last success.
    public private(set) var attempts = 0

    /// Starts at the first attempt.
    public init(base: Duration = .milliseconds(100), cap: Duration = .seconds(5)) {
        (self.base, self.cap) = (base, cap)
    }

    /// How long to wait before the next attempt.
    public mutating func next() -> Duration {
        let full = min(cap, base * (1 << min(attempts, 20)))
        attempts += 1
        return full * Double.random(in: 0.5...1)
    }

    /// To be called after a success.
    public mutating func reset() { attempts = 0 }
}
