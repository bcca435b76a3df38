import Foundation
public import TensorEngine

/// How parameters move. Names and defaults are `torch.optim.AdamW`'s and diffusers' training scripts'.
public struct OptimizerSettings: Codable, Sendable, Equatable {
    /// Learning rate after warm-up.
    public var learningRate: Float = 1e-4
    public var adamBeta1: Float = 0.9
    public var adamBeta2: Float = 0.999
    public var adamEpsilon: Float = 1e-8
    public var adamWeightDecay: Float = 1e-2
    /// Gradients are shortened to this norm over all parameters; nil leaves them.
    public var maxGradNorm: Float? = 1
    /// Updates over which the rate grows linearly from 0.
    public var lrWarmupSteps = 0
    /// Batches whose gradients are averaged for one update.
    public var gradientAccumulationSteps = 1
    /// Decay of the running average of parameters that is saved; nil saves the parameters themselves.
    public var emaDecay: Float?
    /// Whether the rate falls to zero as a half cosine after warm-up; else it stays.
    public var cosineDecay = false

    /// diffusers' defaults.
    public init(learningRate: Float = 1e-4) { self.learningRate = learningRate }

    /// The rate of update `number` (from 1) of `total`.
    public func rate(_ number: Int, of total: Int) -> Float {
        if number <= lrWarmupSteps { return learningRate * Float(number) / Float(lrWarmupSteps) }
        guard cosineDecay, total > lrWarmupSteps else { return learningRate }
        let progress = Double(number - lrWarmupSteps) / Double(total - lrWarmupSteps + 1)
        return learningRate * Float(0.5 * (1 + cos(.pi * progress)))
    }
}

/// AdamW over named parameters, with gradient clipping and a running average of the parameters.
///
/// Not `Sendable`: it writes the parameters in place and belongs to one training loop.
public final class AdamW {
    /// How parameters move.
    public let settings: OptimizerSettings
    /// Updates done.
    public private(set) var updates = 0
    private let parameters: [(name: String, value: Tensor)]
    private var moments: [(first: Tensor, second: Tensor)]
    private var averages: [Tensor]

    /// Starts with zero moments.
    public init(_ parameters: [String: Tensor], _ settings: OptimizerSettings) {
        self.settings = settings
        self.parameters = parameters.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        moments = self.parameters.map { (.parameter(.zeros($0.value.shape)), .parameter(.zeros($0.value.shape))) }
        averages = settings.emaDecay == nil ? [] : self.parameters.map { .parameter($0.value.detached()) }
    }

    /// Applies summed gradients of `batches` batches. Parameters that the loss does not depend on stay.
    ///
    /// - Returns: the norm of the gradient before clipping
    @discardableResult
    public func update(_ gradients: [Gradients], total: Int = 0) -> Double {
        updates += 1
        let share = 1 / Float(gradients.count)
        var found: [(index: Int, gradient: Tensor)] = []
        for (index, parameter) in parameters.enumerated() {
            let parts = gradients.compactMap { $0[parameter.value] }
            guard var sum = parts.first else { continue }
            for part in parts.dropFirst() { sum = sum + part }
            found.append((index, gradients.count == 1 ? sum : sum.scaled(by: share)))
        }
        let norm = found.reduce(0) { $0 + $1.gradient.sumOfSquares }.squareRoot()
        var scale: Float = 1
        // torch.nn.utils.clip_grad_norm_ adds the same 1e-6.
        if let limit = settings.maxGradNorm { scale = Float(min(1, Double(limit) / (norm + 1e-6))) }
        let step = AdamWStep(
            rate: settings.rate(updates, of: total), beta1: settings.adamBeta1, beta2: settings.adamBeta2,
            epsilon: settings.adamEpsilon, weightDecay: settings.adamWeightDecay, number: updates,
            gradientScale: scale)
        for (index, gradient) in found {
            parameters[index].value.update(
                step, first: moments[index].first, second: moments[index].second, gradient: gradient)
        }
        if let decay = settings.emaDecay {
            // A young average follows faster, as diffusers' EMAModel: (1 + t) / (10 + t).
            let decay = min(decay, Float(1 + updates) / Float(10 + updates))
            for (average, parameter) in zip(averages, parameters) { average.average(parameter.value, decay: decay) }
        }
        return norm
    }

    /// What is to be used and shipped: the running averages if they are kept, else the parameters.
    public var result: [String: Tensor] {
        Dictionary(
            uniqueKeysWithValues: parameters.indices.map { i in
                (parameters[i].name, (averages.isEmpty ? parameters[i].value : averages[i]).detached())
            })
    }

    // MARK: State, for going on after a stop

    /// Everything that the next update depends on: parameters, moments, averages.
    public var state: [String: Tensor] {
        var state: [String: Tensor] = [:]
        for (i, parameter) in parameters.enumerated() {
            state["parameter." + parameter.name] = parameter.value.detached()
            state["first." + parameter.name] = moments[i].first.detached()
            state["second." + parameter.name] = moments[i].second.detached()
            if !averages.isEmpty { state["average." + parameter.name] = averages[i].detached() }
        }
        return state
    }

    /// Takes a saved state; parameters change in place.
    ///
    /// - Parameter tensor: a saved tensor by its name and shape; throws if it is missing
    public func restore(updates: Int, _ tensor: (String, [Int]) throws -> Tensor) throws {
        // All are read before any is written, so that a damaged file changes nothing.
        let saved = try parameters.map { parameter in
            let shape = parameter.value.shape
            return (
                try tensor("parameter." + parameter.name, shape), try tensor("first." + parameter.name, shape),
                try tensor("second." + parameter.name, shape),
                averages.isEmpty ? nil : try tensor("average." + parameter.name, shape)
            )
        }
        for (i, old) in saved.enumerated() {
            parameters[i].value.average(old.0, decay: 0)
            moments[i].first.average(old.1, decay: 0)
            moments[i].second.average(old.2, decay: 0)
            if let average = old.3 { averages[i].average(average, decay: 0) }
        }
        self.updates = updates
    }
}
