import Diffusion
import Foundation
import TestSupport
import Testing

/// Every sampler against diffusers' own, call by call, under the goldens' fake model
/// ε(x, t) = 0.3·x_in + 0.1·sin(t / 100).
@Suite(.enabled(if: GoldenFiles.areThere, Comment(rawValue: GoldenFiles.areMissing)))
struct SchedulerGoldenTests {
    static let names = [
        "ddpm", "ddim", "ddim_eta1", "pndm", "euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_2m_karras",
        "unipc", "lcm",
    ]

    /// Fills the sampler's name and settings in from the golden: `ddim_eta1` is ddim with an argument.
    static func make(_ name: String, _ golden: SchedulerGoldens, steps: Int) throws -> any Scheduler {
        let one = try #require(golden.cases[name])
        let config = try JSONDecoder().decode(SchedulerConfig.self, from: one.config)
        let kind = name == "ddim_eta1" ? "ddim" : name
        return try makeScheduler(name: kind, config: config, steps: steps, eta: one.stepArguments["eta"] ?? 0)
    }

    static func closeness(_ got: [Float], _ want: [Float], atol: Float, rtol: Float) -> Float {
        guard got.count == want.count else { return .infinity }
        return zip(got, want).map { abs($0 - $1) / (atol + rtol * abs($1)) }.max() ?? 0
    }

    @Test(arguments: names) func trajectoriesMatch(_ name: String) throws {
        let golden = try SchedulerGoldens()
        let start = try golden.tensor("in.noise")
        let runs = try #require(golden.cases[name]).runs
        #expect(!runs.isEmpty)
        for (steps, run) in runs {
            let prefix = "\(name).\(steps)"
            var sampler = try Self.make(name, golden, steps: steps)

            // 1. timesteps, sigmas, start
            #expect(sampler.timesteps.count == run.modelCalls)
            let wanted = try golden.tensor("out.\(prefix).timesteps")
            let times = Self.closeness(sampler.timesteps.map { Float($0) }, wanted, atol: 1e-3, rtol: 0)
            #expect(times <= 1, "\(prefix) timesteps \(sampler.timesteps) instead of \(wanted)")
            if golden.has("out.\(prefix).sigmas") {
                let sigmas = try #require(sampler.sigmas)
                let wanted = try golden.tensor("out.\(prefix).sigmas")
                let ratio = Self.closeness(sigmas, wanted, atol: 1e-6, rtol: 1e-4)
                #expect(ratio <= 1, "\(prefix) sigmas \(sigmas) instead of \(wanted)")
            }
            #expect(abs(sampler.initNoiseSigma / run.initNoiseSigma - 1) < 1e-4)

            // 2. every call
            let trajectory = try golden.tensor("out.\(prefix).trajectory")
            let drawn = golden.has("in.\(prefix).drawn_noise") ? try golden.tensor("in.\(prefix).drawn_noise") : []
            let calls = drawn.isEmpty ? [] : try golden.tensor("in.\(prefix).drawn_at_call").map { Int($0) }
            let size = start.count
            var x = start.map { $0 * sampler.initNoiseSigma }
            var worst: Float = 0
            for (i, t) in sampler.timesteps.enumerated() {
                let input = sampler.scaleModelInput(x, at: i)
                let output = input.map { 0.3 * $0 + Float(0.1 * sin(t / 100)) }
                x = sampler.step(modelOutput: output, sample: x, at: i) {
                    guard let j = calls.firstIndex(of: i) else {
                        Issue.record("\(prefix) draws noise in call \(i), where diffusers draws none")
                        return [Float](repeating: 0, count: size)
                    }
                    return Array(drawn[j * size..<(j + 1) * size])
                }
                let wanted = Array(trajectory[i * size..<(i + 1) * size])
                worst = max(worst, Self.closeness(x, wanted, atol: golden.atol, rtol: golden.rtol))
            }
            #expect(worst <= 1, "\(prefix): \(worst) times the tolerance")
        }
    }

    @Test(arguments: names) func addedNoiseMatches(_ name: String) throws {
        let golden = try SchedulerGoldens()
        let clean = try golden.tensor("in.add_noise.original")
        let noise = try golden.tensor("in.add_noise.noise")
        let wanted = try golden.tensor("out.add_noise.\(name)")
        let times = try golden.tensor("in.add_noise.\(name).timesteps")
        let steps = try #require(golden.cases[name]).runs.keys.sorted()[1]
        let sampler = try Self.make(name, golden, steps: steps)
        let size = clean.count / times.count
        for (row, t) in times.enumerated() {
            let part = row * size..<(row + 1) * size
            let got = sampler.addNoise(original: Array(clean[part]), noise: Array(noise[part]), timestep: Double(t))
            let ratio = Self.closeness(got, Array(wanted[part]), atol: golden.atol, rtol: golden.rtol)
            #expect(ratio <= 1, "\(name) at \(t): \(ratio) times the tolerance")
        }
    }

    @Test func cumulativeAlphasMatch() throws {
        let golden = try SchedulerGoldens()
        let wanted = try golden.tensor("out.alphas_cumprod")
        let sampler = try Self.make("ddpm", golden, steps: 20)
        // With no noise, forward diffusion of 1 is √ᾱ.
        let got = wanted.indices.map { t in
            let root = sampler.addNoise(original: [1], noise: [0], timestep: Double(t))[0]
            return root * root
        }
        #expect(Self.closeness(got, wanted, atol: 1e-7, rtol: 1e-5) <= 1)
    }
}
