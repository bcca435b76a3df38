import Contracts
import Foundation

/// One bar for each stage, redrawn in place on a terminal. Elsewhere plain lines: when a stage ends, and at most every
/// ten seconds in between.
struct ProgressDisplay {
    private let isTerminal = isatty(STDOUT_FILENO) == 1
    private var drawnLines = 0
    private var last: [StageProgress] = []
    private var lastLine = ContinuousClock.now

    private static let names: [Stage: String] = [
        .encode: "encode", .aggregate: "aggregate", .denoise: "denoise", .evaluate: "evaluate", .train: "train",
    ]

    mutating func show(_ job: JobView, notices: [String]) {
        if isTerminal {
            var text = drawnLines > 0 ? "\u{1B}[\(drawnLines)A" : ""
            for notice in notices { text += "\u{1B}[2Knote: \(notice)\n" }
            for stage in job.stages { text += "\u{1B}[2K\(Self.bar(stage))\n" }
            write(text)
            drawnLines = job.stages.count
        } else {
            for notice in notices { write("note: \(notice)\n") }
            showLines(job.stages)
        }
        last = job.stages
    }

    private mutating func showLines(_ stages: [StageProgress]) {
        let ended = stages.filter { stage in
            stage.isFinal && last.first { $0.stage == stage.stage }?.isFinal != true
        }
        for stage in ended { write("\(Self.line(stage))\n") }
        guard ended.isEmpty else { return lastLine = .now }
        guard stages != last, ContinuousClock.now - lastLine > .seconds(10) else { return }
        for stage in stages where !stage.isFinal && stage.done > 0 { write("\(Self.line(stage))\n") }
        lastLine = .now
    }

    func finish(_ job: JobView) {
        let seconds = job.finishedAt.map { $0.timeIntervalSince(job.createdAt) } ?? 0
        write("job \(job.id.uuidString.lowercased()) \(job.state.rawValue) after \(Int(seconds.rounded())) s\n")
        if let error = job.error { write("first error: \(error)\n") }
    }

    /// `denoise    ███████▌················  31/100  2 running`
    static func bar(_ stage: StageProgress, width: Int = 32) -> String {
        let filled = stage.total == 0 ? width : stage.ended * width / stage.total
        let bar = String(repeating: "█", count: filled) + String(repeating: "·", count: width - filled)
        return name(stage) + " " + bar + " " + counts(stage)
    }

    static func line(_ stage: StageProgress) -> String { name(stage) + " " + counts(stage) }

    private static func name(_ stage: StageProgress) -> String {
        (names[stage.stage] ?? stage.stage.rawValue).padding(toLength: 9, withPad: " ", startingAt: 0)
    }

    private static func counts(_ stage: StageProgress) -> String {
        let others = [("running", stage.running), ("failed", stage.failed), ("cancelled", stage.cancelled)]
        return (["\(stage.done)/\(stage.total)"] + others.filter { $0.1 > 0 }.map { "\($0.1) \($0.0)" })
            .joined(separator: "  ")
    }

    private func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}

extension StageProgress {
    /// Tasks that will not change any more.
    var ended: Int { done + failed + cancelled }
    var isFinal: Bool { ended == total }
}
