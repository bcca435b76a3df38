import Checkpoint
import Foundation
import TensorEngine
import Testing
import Training

/// Runs that stop go on with the numbers they would have had, and say clearly why they cannot.
@Suite struct TrainingLoopTests {
    /// A little regression whose batches depend on their number alone.
    struct Regression: TrainingObjective {
        let weight: Tensor
        var parameters: [String: Tensor] { ["weight": weight] }
        let batchSize = 4
        var failsAt: Int?

        init(failsAt: Int? = nil) {
            weight = .parameter(Tensor(Philox(seed: 1).normal(12), shape: [3, 4]))
            self.failsAt = failsAt
        }

        func loss(batch number: Int) throws -> Tensor {
            if let failsAt, number >= failsAt { throw Stopped() }
            let random = BatchRandom(seed: 9, name: "regression", batch: number)
            let x = random.normal([4, 4])
            return DiffusionLoss.meanSquaredError(x.linear(weight), x.columns(0..<3))
        }
    }
    struct Stopped: Error {}

    private func loop(_ folder: URL, steps: Int = 30) -> TrainingLoop {
        var optimizer = OptimizerSettings(learningRate: 0.05)
        (optimizer.emaDecay, optimizer.lrWarmupSteps, optimizer.gradientAccumulationSteps) = (0.9, 5, 2)
        optimizer.cosineDecay = true
        var loop = TrainingLoop(
            name: "regression", optimizer: optimizer, steps: steps, folder: folder, fingerprint: "a regression")
        (loop.checkpointingSteps, loop.loggingSteps) = (7, 3)
        return loop
    }

    private func folder() throws -> URL {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("loop-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }

    @Test func theLossFalls() throws {
        let home = try folder()
        defer { try? FileManager.default.removeItem(at: home) }
        _ = try loop(home, steps: 60).run(Regression())
        let log = try loop(home).history()
        #expect(try #require(log.last).loss < 0.5 * (try #require(log.first).loss))
        #expect(log.map(\.step) == Array(stride(from: 3, through: 60, by: 3)))
    }

    /// x_t and v together give x₀ back: x₀ = √ᾱ x_t − √(1 − ᾱ) v.
    @Test func theVelocityIsDiffusers() {
        let loss = DiffusionLoss(alphasCumprod: [0.9, 0.4], predictsVelocity: true)
        let (x, noise) = (
            Tensor(Philox(seed: 2).normal(8), shape: [2, 1, 1, 4]),
            Tensor(Philox(seed: 3).normal(8), shape: [2, 1, 1, 4])
        )
        let noisy = loss.noisy(x, noise, timesteps: [1, 0])
        let v = loss.target(x, noise, timesteps: [1, 0])
        for (row, a) in [(0, Float(0.4)), (1, 0.9)] {
            let again = noisy[row].blended(a.squareRoot(), -(1 - a).squareRoot(), with: v[row])
            for (got, want) in zip(again.scalars, x[row].scalars) { #expect(abs(got - want) < 1e-5) }
        }
        #expect(DiffusionLoss(alphasCumprod: [0.9, 0.4]).target(x, noise, timesteps: [1, 0]).scalars == noise.scalars)
    }

    @Test func aCancelledRunKeepsWhatItHasDone() async throws {
        let (calm, cancelled) = (try folder(), try folder())
        defer { for url in [calm, cancelled] { try? FileManager.default.removeItem(at: url) } }
        let whole = try loop(calm).run(Regression())
        var rare = loop(cancelled)
        rare.checkpointingSteps = 1000
        let begun = rare
        let task = Task {
            try begun.run(Regression()) { if $0.step == 12 { withUnsafeCurrentTask { $0?.cancel() } } }
        }
        await #expect(throws: CancellationError.self) { _ = try await task.value }
        #expect(try begun.history().map(\.step) == [3, 6, 9, 12])
        #expect(try loop(cancelled).run(Regression())["weight"]?.scalars == whole["weight"]?.scalars)
    }

    @Test func oneHolderAtATimeHasAFolder() async throws {
        let home = try folder()
        defer { try? FileManager.default.removeItem(at: home) }
        var first: FolderLock? = try FolderLock.hold(home)
        #expect(throws: CheckpointError.self) { try FolderLock.hold(home) }
        let waiting = Task { try await FolderLock.wait(for: home) }
        // The folder goes with its first holder; who waits has a lock on a new one.
        try FileManager.default.removeItem(at: home)
        withExtendedLifetime(first) {}
        first = nil
        let second = try await waiting.value
        #expect(throws: CheckpointError.self) { try FolderLock.hold(home) }
        withExtendedLifetime(second) {}
    }

    @Test(arguments: [1, 20, 41]) func aStoppedRunEndsWithTheSameWeightsAndLog(stop: Int) throws {
        let (calm, stopped) = (try folder(), try folder())
        defer { for url in [calm, stopped] { try? FileManager.default.removeItem(at: url) } }
        let whole = try loop(calm).run(Regression())
        #expect(throws: Stopped.self) { try loop(stopped).run(Regression(failsAt: stop)) }
        let again = try loop(stopped).run(Regression())
        #expect(again["weight"]?.scalars == whole["weight"]?.scalars)
        let (a, b) = (try loop(calm).history(), try loop(stopped).history())
        #expect(a.map(\.step) == b.map(\.step))
        #expect(a.map(\.loss).suffix(3) == b.map(\.loss).suffix(3))
        // A run that has ended only gives its result again.
        #expect(try loop(stopped).run(Regression(failsAt: 0))["weight"]?.scalars == whole["weight"]?.scalars)
    }

    @Test func aStateOfAnotherRunIsRefused() throws {
        let home = try folder()
        defer { try? FileManager.default.removeItem(at: home) }
        _ = try loop(home).run(Regression())
        var other = loop(home)
        other.fingerprint = "another seed"
        #expect {
            try other.run(Regression())
        } throws: {
            "\($0)".contains("regression.state.safetensors") && "\($0)".contains("another run")
        }
    }

    @Test func aCutStateIsRefusedByName() throws {
        let home = try folder()
        defer { try? FileManager.default.removeItem(at: home) }
        _ = try loop(home).run(Regression())
        let state = home.appendingPathComponent("regression.state.safetensors")
        try Data(contentsOf: state).prefix(200).write(to: state)
        #expect { try loop(home).run(Regression()) } throws: { "\($0)".contains("regression.state.safetensors") }
    }

    /// /dev/full takes no byte: what a full disk says, without filling one.
    @Test func aFullDiskLeavesTheOlderCheckpoint() throws {
        let home = try folder()
        defer { try? FileManager.default.removeItem(at: home) }
        let file = home.appendingPathComponent("weights.safetensors")
        try SafetensorsWriter.write(["a": Tensor([1], shape: [1])], to: file)
        let large = Tensor.zeros([1 << 20])
        var old = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &old)
        signal(SIGXFSZ, SIG_IGN)
        var small = rlimit(rlim_cur: 1 << 16, rlim_max: old.rlim_max)
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &small)
        defer { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &old) }
        #expect {
            try SafetensorsWriter.write(["a": large], to: file)
        } throws: {
            "\($0)".contains(file.path) && "\($0)".contains("unchanged")
        }
        #expect(try SafetensorsFile(file).tensor("a").scalars == [1])
    }
}
