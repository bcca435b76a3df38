import Foundation

/// What a process has in memory, from Linux's `/proc`, in megabytes of 10⁶ bytes.
struct ResidentMemory {
    /// Its own: the heap, packed and widened weights, activations.
    let own: Double
    /// Pages of mapped files: weights as they lie in the checkpoint. The system can take them back at any time.
    let mapped: Double
    /// Largest sum of both so far.
    let peak: Double
    /// Its part of all: pages that n processes map count 1/n in each.
    let proportional: Double
    /// Of `mapped`, what other processes map too.
    let shared: Double

    /// - Parameter process: a process id; `self` for this one
    init(of process: String = "self") throws {
        let status = try Self.kilobytes("/proc/\(process)/status")
        let rollup = try Self.kilobytes("/proc/\(process)/smaps_rollup")
        func megabytes(_ value: Int?) -> Double { Double(value ?? 0) * 1024 / 1e6 }
        own = megabytes(status["RssAnon"])
        mapped = megabytes(status["RssFile"])
        peak = megabytes(status["VmHWM"])
        proportional = megabytes(rollup["Pss"])
        shared = megabytes(rollup["Shared_Clean"])
    }

    /// Lines such as `RssAnon:     1234 kB`.
    private static func kilobytes(_ path: String) throws -> [String: Int] {
        let text: String
        do { text = try String(contentsOfFile: path, encoding: .utf8) } catch {
            throw UserError("\(path) cannot be read: \(error.localizedDescription)", remedy: "run this on Linux")
        }
        let pairs = text.split(separator: "\n").compactMap { line -> (String, Int)? in
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count == 3, words[2] == "kB", let value = Int(words[1]) else { return nil }
            return (String(words[0].dropLast()), value)
        }
        return Dictionary(pairs) { first, _ in first }
    }
}
