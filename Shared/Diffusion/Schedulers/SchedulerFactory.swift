/// The samplers that exist, by the names used in requests, model folders and goldens.
public enum SchedulerKind: String, Sendable, Codable, CaseIterable, Hashable {
    case ddpm
    case ddim
    case pndm
    case euler
    case eulerAncestral = "euler_ancestral"
    case heun
    /// DPM-Solver++(2M)
    case dpmpp2M = "dpmpp_2m"
    /// DPM-Solver++(2M) on the noise levels of Karras et al.
    case dpmpp2MKarras = "dpmpp_2m_karras"
    case unipc
    case lcm

    /// The sampler that a `_class_name` of diffusers stands for; nil where there is none.
    public init?(className: String, config: SchedulerConfig = SchedulerConfig()) {
        switch className {
        case "DDPMScheduler": self = .ddpm
        case "DDIMScheduler": self = .ddim
        case "PNDMScheduler": self = .pndm
        case "EulerDiscreteScheduler": self = .euler
        case "EulerAncestralDiscreteScheduler": self = .eulerAncestral
        case "HeunDiscreteScheduler": self = .heun
        case "DPMSolverMultistepScheduler": self = config.useKarrasSigmas == true ? .dpmpp2MKarras : .dpmpp2M
        case "UniPCMultistepScheduler": self = .unipc
        case "LCMScheduler": self = .lcm
        default: return nil
        }
    }
}

/// Makes a sampler.
/// - Parameters:
///   - name: a `SchedulerKind`'s raw value, or diffusers' class name; nil takes the configuration's `_class_name`.
///   - config: the model folder's `scheduler_config.json`.
///   - steps: how many steps to take, 1 … num_train_timesteps.
///   - eta: DDIM's η; other samplers have none and ignore it.
/// - Throws: `SchedulerError`, naming the setting and what can be done.
public func makeScheduler(
    name: String? = nil, config: SchedulerConfig, steps: Int, eta: Double = 0
) throws -> any Scheduler {
    guard let wanted = name ?? config.className else {
        throw SchedulerError("scheduler_config.json has no _class_name: name a sampler, such as ddim")
    }
    guard let kind = SchedulerKind(rawValue: wanted) ?? SchedulerKind(className: wanted, config: config) else {
        let known = SchedulerKind.allCases.map(\.rawValue).joined(separator: ", ")
        throw SchedulerError("sampler \(wanted) is unknown; use one of \(known)")
    }
    return try makeScheduler(kind, config: config, steps: steps, eta: eta)
}

/// Makes a sampler of a known kind; see `makeScheduler(name:config:steps:eta:)`. The kind decides about Karras's noise
/// levels for DPM-Solver++, whatever the file says.
public func makeScheduler(
    _ kind: SchedulerKind, config: SchedulerConfig, steps: Int, eta: Double = 0
) throws -> any Scheduler {
    var config = config
    switch kind {
    case .ddpm: return try DDPMScheduler(config: config, steps: steps)
    case .ddim: return try DDIMScheduler(config: config, steps: steps, eta: eta)
    case .pndm: return try PNDMScheduler(config: config, steps: steps)
    case .euler: return try EulerScheduler(config: config, steps: steps)
    case .eulerAncestral: return try EulerAncestralScheduler(config: config, steps: steps)
    case .heun: return try HeunScheduler(config: config, steps: steps)
    case .dpmpp2M, .dpmpp2MKarras:
        config.useKarrasSigmas = kind == .dpmpp2MKarras
        return try DPMSolverMultistepScheduler(config: config, steps: steps)
    case .unipc: return try UniPCScheduler(config: config, steps: steps)
    case .lcm: return try LCMScheduler(config: config, steps: steps)
    }
}
