import ArgumentParser
import Foundation
import TensorEngine
import Training

/// `likeness train`: trains here, without the queue.
struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Trains the miniature models from nothing, and adapters for any model.",
        subcommands: [
            All.self, IPAdapter.self, SelfAttention.self, TrainSubmitCommand.self, KillTestCommand.self,
        ])

    /// `likeness train all`
    struct All: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "all",
            abstract: "Renders people and trains every part, in order; goes on where it was stopped.")

        @Option(help: "Folder of data, states and the model.")
        var work = "likeness-training"

        @Option(help: "Data set in LFW's layout to use for the methods instead of rendered people.")
        var people: String?

        @Option(help: "JSON file of settings that differ from the defaults.")
        var settings: String?

        @Option(
            help: "Begin with this stage (\(stages)); earlier parts are taken from the folder's model as they are.",
            transform: stage)
        var from: TrainingStage = .vae

        @Option(help: "Stop after this stage.", transform: stage)
        var until: TrainingStage = .selfAttention

        func validate() throws {
            let order = TrainingStage.allCases
            guard let first = order.firstIndex(of: from), let last = order.firstIndex(of: until), first <= last else {
                throw ValidationError("--until \(until.rawValue) comes before --from \(from.rawValue): \(stages)")
            }
        }

        func run() throws {
            var chosen = CurriculumSettings()
            if let settings {
                guard let json = FileManager.default.contents(atPath: settings) else {
                    throw ValidationError("--settings \(settings): cannot be read; name a JSON file")
                }
                chosen = try CurriculumSettings(overriding: json)
            }
            let home = URL(fileURLWithPath: work)
            let lock = try FolderLock.hold(home)
            defer { withExtendedLifetime(lock) {} }
            let curriculum = Curriculum(chosen, work: home, people: people.map { URL(fileURLWithPath: $0) })
            try curriculum.prepare(from: from) { print($0) }
            for stage in TrainingStage.allCases.drop(while: { $0 != from }) {
                let start = ContinuousClock.now
                try curriculum.run(stage, say: { print($0) }, report: TrainingLines(stage.rawValue).print)
                print(
                    String(
                        format: "%@ done after %.0f s", stage.rawValue as NSString,
                        (ContinuousClock.now - start) / .seconds(1)))
                if stage == until { break }
            }
        }
    }
}

private let stages = TrainingStage.allCases.map(\.rawValue).joined(separator: ", ")

private func stage(_ name: String) throws -> TrainingStage {
    guard let stage = TrainingStage(rawValue: name) else {
        throw ValidationError(
            "\(name): no such stage; choose one of \(stages)")
    }
    return stage
}
