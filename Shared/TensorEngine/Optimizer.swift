internal import CKernels

/// Constants of one AdamW step.
public struct AdamWStep: Sendable {
    /// Learning rate of this step.
    public var rate: Float
    public var beta1: Float
    public var beta2: Float
    public var epsilon: Float
    /// Decoupled weight decay; the parameter shrinks by rate · decay.
    public var weightDecay: Float
    /// This is the t-th update, from 1.
    public var number: Int
    /// Gradients are multiplied by this first (clipping by norm).
    public var gradientScale: Float

    /// All constants.
    public init(
        rate: Float, beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float, number: Int,
        gradientScale: Float
    ) {
        (self.rate, self.beta1, self.beta2, self.epsilon) = (rate, beta1, beta2, epsilon)
        (self.weightDecay, self.number, self.gradientScale) = (weightDecay, number, gradientScale)
    }
}

extension Tensor {
    /// A copy in memory of its own that the optimiser may write: the one exception to tensors being values. Whoever
    /// holds it, a model, sees its numbers change with ``update(_:first:second:gradient:)``.
    public static func parameter(_ tensor: Tensor) -> Tensor {
        tensor.withUnsafeBuffer { numbers in
            Tensor(shape: tensor.shape, longLived: true) { _ = $0.update(fromContentsOf: numbers) }
        }
        .requiringGradient()
    }

    /// Moves this parameter by one step of AdamW (`torch.optim.AdamW`), in place; no computation may run meanwhile.
    ///
    /// - Parameters:
    ///   - first: running mean of gradients, written too
    ///   - second: running mean of squared gradients, written too
    ///   - gradient: all of one shape with the parameter
    public func update(_ step: AdamWStep, first: Tensor, second: Tensor, gradient: Tensor) {
        precondition(
            node?.isLeaf == true && first.count == count && second.count == count && gradient.count == count,
            "AdamW of a parameter \(shape) with a gradient \(gradient.shape)")
        let t = Double(step.number)
        var args = lk_adamw_args(
            parameter: pointer, m: first.pointer, v: second.pointer, gradient: gradient.pointer, count: count,
            rate: step.rate, beta1: step.beta1, beta2: step.beta2, eps: step.epsilon, decay: step.weightDecay,
            correction1: Float(1 - pow(Double(step.beta1), t)), correction2: Float(1 - pow(Double(step.beta2), t)),
            clip: step.gradientScale)
        withExtendedLifetime((storage, first.storage, second.storage, gradient.storage)) {
            Profile.measure(.elementwise) { lk_adamw(&args) }
        }
    }

    /// Moves this running average towards `parameter`, in place: self = decay · self + (1 − decay) · parameter.
    public func average(_ parameter: Tensor, decay: Float) {
        precondition(count == parameter.count, "an average \(shape) of a parameter \(parameter.shape)")
        withExtendedLifetime((storage, parameter.storage)) {
            lk_blend(pointer, pointer, parameter.pointer, count, decay, 1 - decay)
        }
    }

    /// Sum of the squares of all numbers, in double.
    public var sumOfSquares: Double {
        var sum = 0.0
        withExtendedLifetime(storage) { lk_sum_of_squares(&sum, pointer, count) }
        return sum
    }
}

/// β^t without Foundation's or Glibc's rounding of the platform.
private func pow(_ base: Double, _ exponent: Double) -> Double {
    var (result, factor, n) = (1.0, base, Int(exponent))
    while n > 0 {
        if n & 1 == 1 { result *= factor }
        factor *= factor
        n >>= 1
    }
    return result
}
