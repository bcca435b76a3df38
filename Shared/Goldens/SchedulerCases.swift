internal import Checkpoint
internal import Diffusion
import Foundation
internal import TensorEngine

extension GoldenSuite {
    /// Timesteps, sigmas and whole trajectories under the case's closed-form fake model
    /// ε(x, t) = 0.3 · x_in + 0.1 · sin(t / 100).
    static func checkSchedulers(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let noise = try golden.tensor("in.noise").scalars
        for (name, value) in try golden.object("schedulers").sorted(by: { $0.key < $1.key }) {
            guard let value = value as? [String: Any], let config = value["config"] as? [String: Any],
                let className = value["class"] as? String, let runs = value["runs"] as? [String: [String: Any]]
            else { throw golden.missing("schedulers.\(name)") }
            let eta = (value["step_arguments"] as? [String: Any])?["eta"] as? Double ?? 0
            let data = try JSONSerialization.data(withJSONObject: config)
            let decoded = try JSONDecoder().decode(SchedulerConfig.self, from: data)
            guard let kind = SchedulerKind(className: className, config: decoded) else {
                comparison.fail("\(name): there is no \(className)")
                continue
            }
            for (steps, run) in runs.sorted(by: { $0.key < $1.key }) {
                guard let steps = Int(steps) else { throw golden.missing("schedulers.\(name).runs") }
                let scheduler = try makeScheduler(kind, config: decoded, steps: steps, eta: eta)
                try check(scheduler, "\(name).\(steps)", run, noise, golden, &comparison)
            }
            try checkAddNoise(kind, decoded, name, golden, &comparison)
        }
        // With no noise, forward diffusion of 1 is √ᾱ.
        let forward = try makeScheduler(.ddpm, config: .stableDiffusion15, steps: 20)
        let wanted = try golden.tensors.doubles("out.alphas_cumprod")
        let roots = wanted.indices.map { forward.addNoise(original: [1], noise: [0], timestep: Double($0))[0] }
        comparison.compare(
            "out.alphas_cumprod", roots.map { Double($0 * $0) }, wanted, Tolerance(atol: 1e-7, rtol: 1e-5))
    }

    private static func check(
        _ start: any Scheduler, _ name: String, _ run: [String: Any], _ noise: [Float], _ golden: GoldenCase,
        _ comparison: inout Comparison
    ) throws {
        var scheduler = start
        let fractional = scheduler.timesteps.contains { $0 != $0.rounded() }
        comparison.compare(
            "out.\(name).timesteps", scheduler.timesteps, try golden.tensors.doubles("out.\(name).timesteps"),
            Tolerance(atol: fractional ? 1e-3 : 0, rtol: 0))
        if golden.has("out.\(name).sigmas"), let sigmas = scheduler.sigmas {
            comparison.compare(
                "out.\(name).sigmas", sigmas.map(Double.init), try golden.tensors.doubles("out.\(name).sigmas"),
                Tolerance(atol: 1e-6, rtol: 1e-4))
        }
        if let sigma = run["init_noise_sigma"] as? Double {
            comparison.compare("\(name) init_noise_sigma", [Double(scheduler.initNoiseSigma)], [sigma])
        }

        var drawn: [Int: [Float]] = [:]
        if golden.has("in.\(name).drawn_at_call") {
            let all = try golden.tensor("in.\(name).drawn_noise").scalars
            for (j, call) in try golden.integers("in.\(name).drawn_at_call").enumerated() {
                drawn[call] = Array(all[j * noise.count..<(j + 1) * noise.count])
            }
        }
        var x = noise.map { $0 * scheduler.initNoiseSigma }
        var trajectory: [Float] = []
        for (i, t) in scheduler.timesteps.enumerated() {
            let input = scheduler.scaleModelInput(x, at: i)
            let output = input.map { 0.3 * $0 + 0.1 * Float(sin(t / 100)) }
            // The library draws at the listed calls only: a draw at another one spoils the trajectory.
            x = scheduler.step(modelOutput: output, sample: x, at: i) {
                drawn[i] ?? Array(repeating: .nan, count: noise.count)
            }
            trajectory += x
        }
        comparison.compare(
            "out.\(name).trajectory", trajectory.map(Double.init),
            try golden.tensors.doubles("out.\(name).trajectory"))
    }

    private static func checkAddNoise(
        _ kind: SchedulerKind, _ config: SchedulerConfig, _ name: String, _ golden: GoldenCase,
        _ comparison: inout Comparison
    ) throws {
        guard golden.has("out.add_noise.\(name)") else { return }
        let steps = (try golden.object("config")["inference_steps"] as? [Int])?.dropFirst().first ?? 20
        let scheduler = try makeScheduler(kind, config: config, steps: steps)
        let original = try golden.tensor("in.add_noise.original")
        let noise = try golden.tensor("in.add_noise.noise")
        let noisy = try golden.tensors.doubles("in.add_noise.\(name).timesteps").enumerated().flatMap { row, t in
            scheduler.addNoise(original: original[row].scalars, noise: noise[row].scalars, timestep: t)
        }
        comparison.compare(
            "out.add_noise.\(name)", noisy.map(Double.init), try golden.tensors.doubles("out.add_noise.\(name)"))
    }
}
