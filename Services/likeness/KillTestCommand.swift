import ArgumentParser
import Foundation
import Training

/// `likeness train kill-test`: the same short run twice, once undisturbed, once killed again and again; the weights must
/// be the same, bit for bit.
struct KillTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kill-test",
        abstract: "Kills a training run with SIGKILL at random moments and compares the weights it ends with.")

    @Option(help: "Updates of the run.")
    var steps = 40

    @Option(help: "How often to kill it.")
    var kills = 3

    @Option(help: "Seed of the moments; by the clock if not given.")
    var seed: UInt64?

    @Option(help: .hidden)
    var child: String?

    func validate() throws {
        guard steps >= 1, kills >= 1 else { throw ValidationError("--steps and --kills must be at least 1") }
    }

    func run() async throws {
        if let child {
            let folder = URL(fileURLWithPath: child)
            try RehearsalRun.run(in: folder, steps: steps) { progress in
                print("step \(progress.step) loss \(progress.loss)")
                fflush(nil)
            }
            .write(to: folder.appendingPathComponent("weights.safetensors"), options: .atomic)
            return
        }
        let home = FileManager.default.temporaryDirectory.appendingPathComponent("likeness-kill-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: home) }
        let (calm, killed) = (home.appendingPathComponent("undisturbed"), home.appendingPathComponent("killed"))
        let start = ContinuousClock.now
        guard try await runChild(in: calm, killedAfter: nil) else {
            throw UserError("the undisturbed run failed", remedy: "see its message above")
        }
        let whole = (ContinuousClock.now - start) / .seconds(1)
        var random = SystemRandomNumberGenerator()
        var drawn = seed ?? random.next()
        print("undisturbed: \(steps) updates in \(String(format: "%.1f", whole)) s; moments from seed \(drawn)")
        var count = 0
        while count < kills {
            drawn = drawn &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let moment = whole * (0.15 + 0.6 * Double(drawn >> 40) / Double(1 << 24)) / Double(kills)
            if try await runChild(in: killed, killedAfter: moment) { break }
            count += 1
            print(String(format: "killed after %.2f s", moment))
        }
        guard try await runChild(in: killed, killedAfter: nil) else {
            throw UserError("the run did not go on after it was killed", remedy: "see its message above")
        }
        let same =
            try Data(contentsOf: calm.appendingPathComponent("weights.safetensors"))
            == Data(contentsOf: killed.appendingPathComponent("weights.safetensors"))
        guard count > 0, same else {
            throw UserError(
                count == 0 ? "the run ended before it was killed" : "the weights differ after \(count) kills",
                remedy: count == 0 ? "ask for more --steps" : "report this with the seed above")
        }
        print("the weights are the same, bit for bit, after \(count) kills")
    }

    /// Whether the child ended by itself, well.
    private func runChild(in folder: URL, killedAfter seconds: Double?) async throws -> Bool {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["train", "kill-test", "--steps", String(steps), "--child", folder.path]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        if let seconds {
            try await Task.sleep(for: .seconds(seconds))
            kill(process.processIdentifier, SIGKILL)
        }
        process.waitUntilExit()
        return process.terminationReason == .exit && process.terminationStatus == 0
    }
}
