import Contracts
import Foundation
import ServiceKit
import Store
import Training

/// Trains on the compute thread, while each line of the log is written to Postgres as it comes and the worker's listing
/// says what goes on.
struct TrainingLog: Sendable {
    let database: Database
    let presence: Presence
    let compute = Compute()

    /// What happens while something is trained.
    enum Event: Sendable {
        case progress(TrainingProgress)
        /// In words, where there is no loss to tell.
        case news(String)
    }

    /// Runs `body`; its `report` throws once the lease is lost or the job was cancelled.
    func keep<R: Sendable>(
        of task: UUID, part: String, _ body: @escaping @Sendable (_ report: (Event) throws -> Void) throws -> R
    ) async throws -> R {
        let (lines, log) = AsyncStream.makeStream(of: TrainingView.self)
        return try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask {
                for await line in lines { try await database.logTraining(line) }
                return nil
            }
            group.addTask {
                defer { log.finish() }
                return try await compute {
                    try body { event in
                        try Task.checkCancellation()
                        switch event {
                        case .news(let words): presence.isWorking(on: task, words)
                        case .progress(let p):
                            presence.isWorking(on: task, p.inWords(part))
                            log.yield(
                                TrainingView(
                                    task: task, part: part, step: p.step, steps: p.steps, loss: p.loss,
                                    imagesPerSecond: p.imagesPerSecond, secondsLeft: p.secondsLeft))
                        }
                    }
                }
            }
            var made: R?
            for try await result in group { made = result ?? made }
            guard let made else { throw CancellationError() }
            return made
        }
    }
}

extension TrainingProgress {
    fileprivate func inWords(_ part: String) -> String {
        "\(part) step \(step) of \(steps), " + String(format: "loss %.4f, %.0f s left", loss, secondsLeft)
    }
}
