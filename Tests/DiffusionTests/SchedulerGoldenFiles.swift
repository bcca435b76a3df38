import Foundation
import TestSupport

/// The goldens folder of the schedulers, read with just enough of safetensors for these tests.
struct SchedulerGoldens {
    struct Case {
        /// The scheduler's configuration, as JSON.
        var config: Data
        var stepArguments: [String: Double]
        var runs: [Int: Run]
    }
    struct Run {
        var initNoiseSigma: Float
        var modelCalls: Int
    }
    struct Unreadable: Error, CustomStringConvertible {
        var description: String
    }

    let atol: Float
    let rtol: Float
    let cases: [String: Case]
    private let entries: [String: [String: Any]]
    private let bytes: Data

    static var folder: URL { GoldenFiles.folder.appending(path: "schedulers") }

    init(_ folder: URL = SchedulerGoldens.folder) throws {
        // Python writes infinities as bare words, which JSON does not have.
        let text = try String(contentsOf: folder.appending(path: "case.json"), encoding: .utf8)
            .replacingOccurrences(of: "-Infinity", with: "null")
        let file = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
        guard let tolerance = file["tolerance"] as? [String: Any], let atol = tolerance["atol"] as? Double,
            let rtol = tolerance["rtol"] as? Double, let table = file["schedulers"] as? [String: [String: Any]]
        else { throw Unreadable(description: "\(folder.path)/case.json has no tolerance or schedulers") }
        (self.atol, self.rtol) = (Float(atol), Float(rtol))
        cases = try table.mapValues { entry in
            var runs: [Int: Run] = [:]
            for (steps, run) in entry["runs"] as? [String: [String: Any]] ?? [:] {
                guard let steps = Int(steps), let sigma = run["init_noise_sigma"] as? Double,
                    let calls = run["model_calls"] as? Int
                else { throw Unreadable(description: "runs") }
                runs[steps] = Run(initNoiseSigma: Float(sigma), modelCalls: calls)
            }
            return Case(
                config: try JSONSerialization.data(withJSONObject: entry["config"] ?? [:]),
                stepArguments: entry["step_arguments"] as? [String: Double] ?? [:], runs: runs)
        }

        let all = try Data(contentsOf: folder.appending(path: "tensors.safetensors"))
        let length = all.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = try JSONSerialization.jsonObject(with: all.dropFirst(8).prefix(length)) as? [String: Any]
        entries = (header ?? [:]).compactMapValues { $0 as? [String: Any] }
        bytes = Data(all.dropFirst(8 + length))
    }

    func has(_ name: String) -> Bool { entries[name] != nil }

    func tensor(_ name: String) throws -> [Float] {
        guard let entry = entries[name], let range = entry["data_offsets"] as? [Int], range.count == 2 else {
            throw Unreadable(description: "no tensor \(name)")
        }
        let words = stride(from: range[0], to: range[1], by: 4).map { i in
            (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[i + $1]) << (8 * UInt32($1)) }
        }
        return entry["dtype"] as? String == "F32"
            ? words.map { Float(bitPattern: $0) } : words.map { Float(Int32(bitPattern: $0)) }
    }
}
