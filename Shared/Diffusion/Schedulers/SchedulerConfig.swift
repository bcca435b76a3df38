public import Foundation

/// A `scheduler_config.json` in diffusers' key names. Absent and `null` keys are nil and take the default of the
/// sampler that reads the file (diffusers' class default), not that of the class named in the file: the same rule as
/// diffusers' `from_config`. Unknown keys are ignored; a known key with a value that a sampler cannot honour is an
/// error when the sampler is made.
public struct SchedulerConfig: Codable, Sendable, Hashable {
    /// `_class_name`, such as `PNDMScheduler`.
    public var className: String?
    /// Steps of the training process (default 1000).
    public var numTrainTimesteps: Int?
    /// β of the first training step.
    public var betaStart: Double?
    /// β of the last training step.
    public var betaEnd: Double?
    /// `linear`, `scaled_linear` or `squaredcos_cap_v2`.
    public var betaSchedule: String?
    /// Every β, in place of the three settings above.
    public var trainedBetas: [Double]?
    /// What the model predicts: `epsilon` (default), `sample` or `v_prediction`.
    public var predictionType: String?
    /// `leading`, `linspace` or `trailing`: how the steps are spread over the training steps.
    public var timestepSpacing: String?
    /// Added to every timestep of `leading` spacing.
    public var stepsOffset: Int?
    /// Whether the last step of DDIM, PNDM and LCM ends at ᾱ = 1 rather than at ᾱ of training step 0.
    public var setAlphaToOne: Bool?
    /// Whether the estimate of x₀ is limited to ±`clipSampleRange`.
    public var clipSample: Bool?
    /// See `clipSample` (default 1).
    public var clipSampleRange: Double?
    /// DDPM's variance: `fixed_small` (default) or `fixed_large`.
    public var varianceType: String?
    /// Dynamic thresholding, for models of pixels; refused here.
    public var thresholding: Bool?
    /// Zero terminal signal-to-noise ratio; refused here.
    public var rescaleBetasZeroSNR: Bool?
    /// PNDM: start with multistep rather than Runge-Kutta steps.
    public var skipPRKSteps: Bool?
    /// Space σ as in Karras et al. 2022.
    public var useKarrasSigmas: Bool?
    /// Another spacing of σ; refused here.
    public var useExponentialSigmas: Bool?
    /// Another spacing of σ; refused here.
    public var useBetaSigmas: Bool?
    /// Another spacing of σ; refused here.
    public var useLuLambdas: Bool?
    /// σ of flow matching; refused here.
    public var useFlowSigmas: Bool?
    /// Lower end of the σ of Karras et al., in place of the schedule's own.
    public var sigmaMin: Double?
    /// Upper end of the σ of Karras et al., in place of the schedule's own.
    public var sigmaMax: Double?
    /// `zero` (default) or `sigma_min`: the σ after the last step.
    public var finalSigmasType: String?
    /// How Euler finds σ between training steps: `linear` only.
    public var interpolationType: String?
    /// How Euler numbers its steps: `discrete` only.
    public var timestepType: String?
    /// DPM-Solver: `dpmsolver++` only.
    public var algorithmType: String?
    /// Order of DPM-Solver or UniPC: 1 to 3 (default 2).
    public var solverOrder: Int?
    /// `midpoint` or `heun` for DPM-Solver, `bh1` or `bh2` for UniPC.
    public var solverType: String?
    /// Whether the last steps of a multistep solver fall back to a lower order.
    public var lowerOrderFinal: Bool?
    /// Whether DPM-Solver's last step is of first order.
    public var eulerAtFinal: Bool?
    /// UniPC: work on x₀ (default) rather than ε.
    public var predictX0: Bool?
    /// UniPC: calls (from 0) after which no corrector runs.
    public var disableCorrector: [Int]?
    /// LCM: steps of the distillation (default 50).
    public var originalInferenceSteps: Int?
    /// LCM: factor on t in the boundary conditions (default 10).
    public var timestepScaling: Double?

    /// Nothing set: every sampler's own defaults.
    public init() {}

    /// Stable Diffusion 1.5's file: 1000 steps, `scaled_linear` betas from 0.00085 to 0.012.
    public static var stableDiffusion15: SchedulerConfig {
        var config = SchedulerConfig()
        config.className = "PNDMScheduler"
        (config.betaStart, config.betaEnd, config.betaSchedule) = (0.00085, 0.012, "scaled_linear")
        (config.numTrainTimesteps, config.stepsOffset) = (1000, 1)
        (config.setAlphaToOne, config.skipPRKSteps, config.clipSample) = (false, true, false)
        return config
    }

    /// Reads a `scheduler_config.json`.
    /// - Throws: `SchedulerError` naming the file.
    public init(contentsOf file: URL) throws {
        do {
            self = try JSONDecoder().decode(SchedulerConfig.self, from: Data(contentsOf: file))
        } catch {
            throw SchedulerError(
                "\(file.path): not a readable scheduler_config.json (\(error)); copy the file from the model's page")
        }
    }

    enum CodingKeys: String, CodingKey {
        case className = "_class_name"
        case numTrainTimesteps = "num_train_timesteps"
        case betaStart = "beta_start"
        case betaEnd = "beta_end"
        case betaSchedule = "beta_schedule"
        case trainedBetas = "trained_betas"
        case predictionType = "prediction_type"
        case timestepSpacing = "timestep_spacing"
        case stepsOffset = "steps_offset"
        case setAlphaToOne = "set_alpha_to_one"
        case clipSample = "clip_sample"
        case clipSampleRange = "clip_sample_range"
        case varianceType = "variance_type"
        case thresholding
        case rescaleBetasZeroSNR = "rescale_betas_zero_snr"
        case skipPRKSteps = "skip_prk_steps"
        case useKarrasSigmas = "use_karras_sigmas"
        case useExponentialSigmas = "use_exponential_sigmas"
        case useBetaSigmas = "use_beta_sigmas"
        case useLuLambdas = "use_lu_lambdas"
        case useFlowSigmas = "use_flow_sigmas"
        case sigmaMin = "sigma_min"
        case sigmaMax = "sigma_max"
        case finalSigmasType = "final_sigmas_type"
        case interpolationType = "interpolation_type"
        case timestepType = "timestep_type"
        case algorithmType = "algorithm_type"
        case solverOrder = "solver_order"
        case solverType = "solver_type"
        case lowerOrderFinal = "lower_order_final"
        case eulerAtFinal = "euler_at_final"
        case predictX0 = "predict_x0"
        case disableCorrector = "disable_corrector"
        case originalInferenceSteps = "original_inference_steps"
        case timestepScaling = "timestep_scaling"
    }
}

/// A sampler that cannot be made as asked: says which setting and what to do.
public struct SchedulerError: Error, CustomStringConvertible, Sendable {
    /// What is wrong, with the remedy.
    public let description: String

    init(_ description: String) { self.description = description }
}
