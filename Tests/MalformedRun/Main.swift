import CAllocationWatch
import Foundation
import MalformedFiles

/// `malformed [--only TEXT]`: reads over two thousand malformed files, and fails if one is accepted that must not be, if
/// a message does not name its file, if a block of memory is taken that is larger than twice the file, or on a crash.
///
/// Tests/MalformedRun/run builds it with AddressSanitizer. Each file is read in a child process that goes on from one to
/// the next; if it dies, that is counted and another goes on behind the file.
@main
enum MalformedRun {
    /// Error messages, a table's smallest size and the like: what the smallest file may take.
    static let block = 256 << 10
    /// The same of all blocks together.
    static let total = 9 << 20

    static func main() throws {
        let arguments = CommandLine.arguments
        let only = arguments.firstIndex(of: "--only").map { arguments[$0 + 1] }
        if let i = arguments.firstIndex(of: "--child") {
            try child(from: Int(arguments[i + 1]) ?? 0, folder: URL(fileURLWithPath: arguments[i + 2]), only)
        } else {
            try parent(only)
        }
    }

    /// A line on standard output, at once: the next file may be the last.
    static func show(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

    // MARK: Parent

    static func parent(_ only: String?) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("malformed-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        var (next, crashes, tally) = (0, 0, [String: Int]())
        while true {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            process.arguments =
                ["--child", "\(next)", folder.appendingPathComponent("\(next)").path]
                + (only.map { ["--only", $0] } ?? [])
            let pipe = Pipe()
            process.standardOutput = pipe
            try process.run()
            var last: (Int, String)?
            var rest = Data()
            // Line by line, as they come: a file that hangs shows too.
            while case let part = pipe.fileHandleForReading.availableData, !part.isEmpty {
                rest += part
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    let parts = String(decoding: rest[..<end], as: UTF8.self).split(separator: "\t", maxSplits: 2)
                        .map(String.init)
                    rest = Data(rest[(end + 1)...])
                    guard parts.count >= 2 else { continue }
                    if parts[0] == "begin" { last = (Int(parts[1]) ?? 0, parts[2]) }
                    tally[parts[0], default: 0] += 1
                    if parts[0] == "wrong" { show("WRONG  \(parts[2])") }
                    if parts[0] == "note" { show(parts[2]) }
                }
            }
            process.waitUntilExit()
            if process.terminationStatus == 0 { break }
            crashes += 1
            show("CRASH  \(last.map { "\($0.1) (status \(process.terminationStatus))" } ?? "before the first file")")
            guard let last, crashes < 100 else { break }
            next = last.0 + 1
        }
        let (refused, read, wrong) = (
            tally["refused", default: 0], tally["read", default: 0], tally["wrong", default: 0]
        )
        print(
            "\(refused + read) files: \(refused) refused (\(tally["must", default: 0]) had to be), \(read) read; \(wrong) wrong, \(crashes) crashes"
        )
        exit(wrong + crashes == 0 ? 0 : 1)
    }

    // MARK: Child

    static func child(from first: Int, folder: URL, _ only: String?) throws {
        guard watch_works() == 1 else { fatalError("allocations cannot be seen") }
        let trial = try Trial(folder: folder)
        let all = try trial.mutants(fixtures: URL(fileURLWithPath: "Tests/CheckpointTests/Fixtures"))
        var worst: [Mutant.Kind: (Double, String)] = [:]
        for (i, mutant) in all.enumerated() where i >= first {
            if let only, !mutant.what.contains(only) { continue }
            show("begin\t\(i)\t\(mutant.what)")
            let (size, read, undo) = try trial.prepare(mutant)
            if i == first { _ = read() }  // what is set up once for all files
            watch_start()
            let outcome = read()
            let memory = watch_stop()
            try undo()
            if case .read = outcome {
                show("read\t1")
            } else {
                show("refused\t1\(mutant.mustFail ? "\nmust\t1" : "")")
            }
            if let complaint = Trial.complaint(mutant, outcome) { show("wrong\t1\t\(mutant.what): \(complaint)") }
            let (largest, peak) = (Int(memory.largest), Int(memory.peak))
            let (block, total) = (max(2 * size, block) + mutant.allowance, 2 * size + total + mutant.allowance)
            if largest > block || peak > total {
                show("wrong\t1\t\(mutant.what): a file of \(size) bytes took \(largest) at once and \(peak) in all")
            }
            let share = Double(peak) / Double(total)
            if share > worst[mutant.kind]?.0 ?? 0 {
                worst[mutant.kind] = (share, "\(mutant.what): \(size) bytes, largest block \(largest), in all \(peak)")
            }
        }
        for kind in Mutant.Kind.allCases {
            if let (_, text) = worst[kind] { show("note\t0\tmost memory of \(kind.rawValue): \(text)") }
        }
    }
}
