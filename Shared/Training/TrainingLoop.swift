internal import Checkpoint
import Dispatch
public import Foundation
import Synchronization
public import TensorEngine

/// What one training run minimises.
///
/// Batches of one update are computed at the same time, each on one core: that keeps two cores busier than both working
/// on one small batch.
public protocol TrainingObjective: Sendable {
    /// What is trained, by the names of the checkpoint.
    var parameters: [String: Tensor] { get }
    /// Pictures in a batch, for the rate in the log.
    var batchSize: Int { get }
    /// The loss [1] of batch `number` (from 0), recorded. A function of the number and the parameters alone.
    func loss(batch number: Int) throws -> Tensor
}

/// One line of a run's log.
public struct TrainingProgress: Codable, Sendable {
    /// Updates done, and how many there will be.
    public var step, steps: Int
    /// Mean loss since the last line.
    public var loss: Double
    /// Norm of the last gradient before clipping.
    public var gradientNorm: Double
    /// Pictures seen in a second, since the last line.
    public var imagesPerSecond: Double
    /// Seconds until the end at that rate.
    public var secondsLeft: Double

    enum CodingKeys: String, CodingKey {
        case step, steps, loss
        case gradientNorm = "gradient_norm"
        case imagesPerSecond = "images_per_second"
        case secondsLeft = "seconds_left"
    }
}

/// Runs an objective to its end, keeping its state on disk so that a run which was stopped, however, goes on from its
/// last state with the very numbers it would have had.
public struct TrainingLoop: Sendable {
    /// Name of the run and of its files.
    public var name: String
    /// How parameters move.
    public var optimizer: OptimizerSettings
    /// Updates to do.
    public var steps: Int
    /// Folder of `<name>.state.safetensors` and `<name>.log.jsonl`.
    public var folder: URL
    /// Updates between two states on disk.
    public var checkpointingSteps = 200
    /// Updates between two lines of the log.
    public var loggingSteps = 20
    /// Says what the run is made of (data, model, seed); a state of another run is refused.
    public var fingerprint: String

    /// A run.
    public init(name: String, optimizer: OptimizerSettings, steps: Int, folder: URL, fingerprint: String) {
        (self.name, self.optimizer, self.steps) = (name, optimizer, steps)
        (self.folder, self.fingerprint) = (folder, fingerprint)
    }

    private var stateURL: URL { folder.appendingPathComponent("\(name).state.safetensors") }
    var logURL: URL { folder.appendingPathComponent("\(name).log.jsonl") }

    /// Trains from the last state, or from the start.
    ///
    /// - Parameter report: told every log line; throwing stops the run, whose state stays
    /// - Returns: the trained tensors (their running averages where kept)
    /// - Throws: `CheckpointError` for a state that is damaged or of another run, or that cannot be written;
    ///   `CancellationError` when the task is cancelled, once the state is saved
    public func run(
        _ objective: some TrainingObjective, report: (TrainingProgress) throws -> Void = { _ in }
    ) throws -> [String: Tensor] {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let adam = AdamW(objective.parameters, optimizer)
        var log = try resume(adam)
        let clock = ContinuousClock()
        var (sum, since, start) = (0.0, 0, clock.now)
        let accumulation = max(optimizer.gradientAccumulationSteps, 1)
        while adam.updates < steps {
            if Task.isCancelled {
                try save(adam, log)
                throw CancellationError()
            }
            let first = adam.updates * accumulation
            let parts = try Self.concurrently(accumulation) { part in
                let loss = try objective.loss(batch: first + part)
                return (loss: Double(loss.scalars[0]), gradients: loss.gradients())
            }
            let loss = parts.reduce(0) { $0 + $1.loss } / Double(accumulation)
            guard loss.isFinite else {
                throw CheckpointError(
                    "\(name): the loss is \(loss) after \(adam.updates) updates; lower the learning rate. The last state "
                        + "is in \(stateURL.path)")
            }
            sum += loss
            let norm = adam.update(parts.map(\.gradients), total: steps)
            since += 1
            let isLast = adam.updates == steps
            if adam.updates % loggingSteps == 0 || isLast {
                let seconds = (clock.now - start) / .seconds(1)
                let progress = TrainingProgress(
                    step: adam.updates, steps: steps, loss: sum / Double(since), gradientNorm: norm,
                    imagesPerSecond: Double(since * objective.batchSize * accumulation) / seconds,
                    secondsLeft: Double(steps - adam.updates) * seconds / Double(since))
                log.append(progress)
                try report(progress)
                (sum, since, start) = (0, 0, clock.now)
            }
            if adam.updates % checkpointingSteps == 0 || isLast { try save(adam, log) }
        }
        return adam.result
    }

    /// The results of `count` pieces of work in order, as many at a time as there are cores; each computes with its share
    /// of them. Results do not depend on how many that is.
    private static func concurrently<R: Sendable>(
        _ count: Int, _ body: @Sendable (Int) throws -> R
    ) throws -> [R] {
        guard count > 1 else { return [try body(0)] }
        let cores = Threads.count
        Threads.use(max(cores / count, 1))
        defer { Threads.use(cores) }
        let results = Mutex<[Int: Result<R, any Error>]>([:])
        DispatchQueue.concurrentPerform(iterations: count) { part in
            let result = Result { try body(part) }
            results.withLock { $0[part] = result }
        }
        return try results.withLock { table in try (0..<count).compactMap { try table[$0]?.get() } }
    }

    /// The log so far, of a run that may be under way elsewhere.
    public func history() throws -> [TrainingProgress] {
        guard let data = try? Data(contentsOf: logURL) else { return [] }
        let decoder = JSONDecoder()
        return try data.split(separator: UInt8(ascii: "\n")).map { try decoder.decode(TrainingProgress.self, from: $0) }
    }

    private func resume(_ adam: AdamW) throws -> [TrainingProgress] {
        guard FileManager.default.fileExists(atPath: stateURL.path) else { return [] }
        let file = try SafetensorsFile(stateURL)
        guard file.metadata["fingerprint"] == fingerprint, let updates = file.metadata["updates"].flatMap(Int.init)
        else {
            throw CheckpointError(
                "\(stateURL.path): is the state of another run (other data, sizes, seed or settings); remove it to start "
                    + "\(name) afresh, or name another folder")
        }
        try adam.restore(updates: updates) { try file.tensor($0, shape: $1) }
        // Lines that were written after the state belong to updates that will be done again.
        return try history().filter { $0.step <= updates }
    }

    /// The state first: a log that is behind loses lines, one that is ahead is cut when the run goes on.
    private func save(_ adam: AdamW, _ log: [TrainingProgress]) throws {
        try SafetensorsWriter.write(
            adam.state, metadata: ["fingerprint": fingerprint, "updates": String(adam.updates)], to: stateURL)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        var lines = Data()
        for line in log {
            lines += try encoder.encode(line)
            lines.append(UInt8(ascii: "\n"))
        }
        do { try lines.write(to: logURL, options: .atomic) } catch {
            throw CheckpointError(
                "\(logURL.path): cannot be written (\(error.localizedDescription)); free some space and start again, the "
                    + "run goes on where it was")
        }
    }
}
