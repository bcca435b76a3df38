import Foundation
import Training

/// The lines that a training run prints: the first ones, the last, and one every twenty seconds.
final class TrainingLines {
    private let name: String
    private var last = ContinuousClock.now

    init(_ name: String) { self.name = name }

    func print(_ progress: TrainingProgress) {
        let now = ContinuousClock.now
        guard progress.step <= 40 || progress.step == progress.steps || now - last >= .seconds(20) else { return }
        last = now
        Swift.print(
            String(
                format: "%@ %d/%d loss %.4f, %.3g pictures/s, %.0f s left", name as NSString, progress.step,
                progress.steps, progress.loss, progress.imagesPerSecond, progress.secondsLeft))
        fflush(nil)
    }
}
