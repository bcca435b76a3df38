import Diffusion
import Foundation
import Testing

/// What must hold for every sampler, whatever diffusers' numbers are.
@Suite struct SchedulerPropertyTests {
    static let config = SchedulerConfig.stableDiffusion15

    /// Runs a sampler with an oracle that knows the one clean sample there is.
    static func sample(_ scheduler: any Scheduler, clean: [Float], start: [Float]) -> [Float] {
        var scheduler = scheduler
        var x = start.map { $0 * scheduler.initNoiseSigma }
        for (i, t) in scheduler.timesteps.enumerated() {
            // ε from x = a·x₀ + b·ε; a and b show in what forward diffusion does to 1 and to noise 1.
            let a = scheduler.addNoise(original: [1], noise: [0], timestep: t)[0]
            let b = scheduler.addNoise(original: [0], noise: [1], timestep: t)[0]
            let output = zip(x, clean).map { ($0 - a * $1) / b }
            x = scheduler.step(modelOutput: output, sample: x, at: i) { x.map { _ in 0.5 } }
        }
        return x
    }

    @Test(arguments: SchedulerKind.allCases) func oracleIsReached(_ kind: SchedulerKind) throws {
        var config = Self.config
        config.setAlphaToOne = true
        // Euler's and Heun's single linspace step starts at the smallest noise level, so start at two.
        for steps in [2, 7, 50] {
            let scheduler = try makeScheduler(kind, config: config, steps: steps)
            let clean: [Float] = [0.7, -1.2, 0, 0.1]
            let got = Self.sample(scheduler, clean: clean, start: [1, -0.5, 2, 0.3])
            for (x, y) in zip(got, clean) { #expect(abs(x - y) < 2e-3, "\(kind) \(steps): \(got)") }
        }
    }

    @Test(arguments: SchedulerKind.allCases) func everyNumberOfStepsIsFinite(_ kind: SchedulerKind) throws {
        for steps in [1, 2, 3, 49, 333, 500, 501, 999, 1000] {
            guard kind != .lcm || steps <= 50 else {
                #expect(throws: SchedulerError.self) { try makeScheduler(kind, config: Self.config, steps: steps) }
                continue
            }
            let scheduler = try makeScheduler(kind, config: Self.config, steps: steps)
            #expect(scheduler.timesteps.count >= steps)
            #expect(scheduler.timesteps.allSatisfy { (0..<1000).contains($0) })
            if let sigmas = scheduler.sigmas {
                #expect(sigmas.count == scheduler.timesteps.count + 1)
                #expect(zip(sigmas, sigmas.dropFirst()).allSatisfy { $0 >= $1 })
            }
            let got = Self.sample(scheduler, clean: [0.4, -0.4], start: [1, -1])
            #expect(got.allSatisfy { $0.isFinite && abs($0) < 5 }, "\(kind) \(steps): \(got)")
        }
    }

    @Test func fullChainOfTheDDPMPaper() throws {
        let scheduler = try makeScheduler(.ddpm, config: Self.config, steps: 1000)
        #expect(scheduler.timesteps == (0..<1000).reversed().map { Double($0) })
    }

    @Test(arguments: SchedulerKind.allCases) func badStepsAreRefused(_ kind: SchedulerKind) throws {
        for steps in [0, -3, 1001] {
            let error = try #require(throws: SchedulerError.self) {
                try makeScheduler(kind, config: Self.config, steps: steps)
            }
            #expect(error.description.contains("\(steps) steps"), "\(error)")
        }
    }

    @Test(arguments: SchedulerKind.allCases) func copiesAreIndependent(_ kind: SchedulerKind) throws {
        var one = try makeScheduler(kind, config: Self.config, steps: 6)
        let sample: [Float] = [1, 2, 3]
        _ = one.step(modelOutput: [0.1, 0.2, 0.3], sample: sample, at: 0) { [0, 0, 0] }
        var other = one
        _ = other.step(modelOutput: [9, 9, 9], sample: [5, 5, 5], at: 1) { [1, 1, 1] }
        let a = one.step(modelOutput: [0.3, 0.2, 0.1], sample: sample, at: 1) { [0, 0, 0] }
        var fresh = try makeScheduler(kind, config: Self.config, steps: 6)
        _ = fresh.step(modelOutput: [0.1, 0.2, 0.3], sample: sample, at: 0) { [0, 0, 0] }
        let b = fresh.step(modelOutput: [0.3, 0.2, 0.1], sample: sample, at: 1) { [0, 0, 0] }
        #expect(a == b)
    }

    @Test func noiseIsDrawnOnlyWhereNeeded() throws {
        let draws: [SchedulerKind: Int] = [.ddpm: 4, .eulerAncestral: 4, .lcm: 4]
        for kind in SchedulerKind.allCases {
            var scheduler = try makeScheduler(kind, config: Self.config, steps: 5)
            var count = 0
            for i in scheduler.timesteps.indices {
                _ = scheduler.step(modelOutput: [0.1], sample: [0.2], at: i) {
                    count += 1
                    return [0.3]
                }
            }
            #expect(count == draws[kind] ?? 0, "\(kind)")
        }
        var noisy = try makeScheduler(.ddim, config: Self.config, steps: 5, eta: 1)
        var count = 0
        _ = noisy.step(modelOutput: [0.1], sample: [0.2], at: 0) {
            count += 1
            return [0.3]
        }
        #expect(count == 1)
    }

    @Test func classNamesAreUnderstood() throws {
        let json = #"""
            {"_class_name": "DPMSolverMultistepScheduler", "_diffusers_version": "0.6.0", "beta_start": 0.00085,
             "beta_end": 0.012, "beta_schedule": "scaled_linear", "use_karras_sigmas": true, "trained_betas": null,
             "lambda_min_clipped": 0}
            """#
        let config = try JSONDecoder().decode(SchedulerConfig.self, from: Data(json.utf8))
        let named = try makeScheduler(config: config, steps: 9)
        let karras = try makeScheduler(.dpmpp2MKarras, config: config, steps: 9)
        let plain = try makeScheduler(.dpmpp2M, config: config, steps: 9)
        #expect(named.sigmas == karras.sigmas)
        #expect(plain.sigmas != karras.sigmas)
        #expect(try makeScheduler(name: "EulerDiscreteScheduler", config: config, steps: 9).initNoiseSigma > 10)
    }

    @Test func settingsSurviveJSON() throws {
        let data = try JSONEncoder().encode(Self.config)
        #expect(try JSONDecoder().decode(SchedulerConfig.self, from: data) == Self.config)
        let keys = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any]).keys
        #expect(Set(keys).isSuperset(of: ["_class_name", "beta_start", "steps_offset", "set_alpha_to_one"]))
    }

    @Test func whatCannotBeHonouredIsRefused() throws {
        func refused(_ kind: SchedulerKind, _ word: String, _ change: (inout SchedulerConfig) -> Void) throws {
            var config = Self.config
            change(&config)
            let error = try #require(throws: SchedulerError.self) {
                try makeScheduler(kind, config: config, steps: 5)
            }
            #expect(error.description.contains(word), "\(error)")
        }
        try refused(.ddim, "thresholding") { $0.thresholding = true }
        try refused(.ddim, "prediction_type") { $0.predictionType = "flow" }
        try refused(.ddim, "beta_schedule") { $0.betaSchedule = "wavy" }
        try refused(.ddim, "betas") { $0.betaEnd = 1.5 }
        try refused(.ddim, "timestep_spacing") { $0.timestepSpacing = "sideways" }
        try refused(.ddpm, "variance_type") { $0.varianceType = "learned" }
        try refused(.euler, "use_beta_sigmas") { $0.useBetaSigmas = true }
        try refused(.dpmpp2M, "algorithm_type") { $0.algorithmType = "sde-dpmsolver++" }
        try refused(.unipc, "predict_x0") { $0.predictX0 = false }
        try refused(.lcm, "original_inference_steps") { $0.originalInferenceSteps = 4 }
        #expect(throws: SchedulerError.self) { try makeScheduler(name: "euler_b", config: Self.config, steps: 5) }
        #expect(throws: SchedulerError.self) { try makeScheduler(.ddim, config: Self.config, steps: 5, eta: 2) }
        let missing = URL(filePath: "/nonexistent/scheduler_config.json")
        let error = try #require(throws: SchedulerError.self) { try SchedulerConfig(contentsOf: missing) }
        #expect(error.description.contains("/nonexistent/scheduler_config.json"))
    }
}
