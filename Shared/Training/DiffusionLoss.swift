import Diffusion
public import TensorEngine

/// The denoising objective (paper eq. 4; DDPM's simple loss, arXiv 2006.11239 eq. 14): ‖ε − ε_θ(x_t, t, c)‖², or the same
/// of the velocity for models that predict it.
public struct DiffusionLoss: Sendable {
    /// ᾱ of every training step.
    public let alphasCumprod: [Float]
    /// Whether the model predicts v rather than ε.
    public let predictsVelocity: Bool

    /// With a schedule's ᾱ.
    public init(alphasCumprod: [Float], predictsVelocity: Bool = false) {
        (self.alphasCumprod, self.predictsVelocity) = (alphasCumprod, predictsVelocity)
    }

    /// What the model is to predict, row by row: ε, or v = √ᾱ_t · ε − √(1 − ᾱ_t) · x₀ (arXiv 2202.00512; diffusers'
    /// `get_velocity`).
    public func target(_ latents: Tensor, _ noise: Tensor, timesteps: [Int]) -> Tensor {
        predictsVelocity ? mixed(noise, latents, -1, timesteps: timesteps) : noise
    }

    /// x_t = √ᾱ_t · x₀ + √(1 − ᾱ_t) · ε, row by row; x₀ and ε [N, h, w, C].
    public func noisy(_ latents: Tensor, _ noise: Tensor, timesteps: [Int]) -> Tensor {
        mixed(latents, noise, 1, timesteps: timesteps)
    }

    /// √ᾱ_t · x + sign · √(1 − ᾱ_t) · y, row by row.
    private func mixed(_ x: Tensor, _ y: Tensor, _ sign: Float, timesteps: [Int]) -> Tensor {
        .stacked(
            timesteps.enumerated().map { row, t in
                let a = Double(alphasCumprod[t])
                return x[row..<row + 1].blended(
                    Float(a.squareRoot()), sign * Float((1 - a).squareRoot()), with: y[row..<row + 1])
            })
    }

    /// Mean of the squared difference over everything → [1].
    public static func meanSquaredError(_ prediction: Tensor, _ target: Tensor) -> Tensor {
        let difference = prediction - target
        return (difference * difference).mean()
    }

    /// DreamBooth's loss (paper eq. 12–13): mean squared error of the person's rows plus `priorLossWeight` times that of
    /// the class pictures' rows.
    ///
    /// - Parameter instances: how many rows, the first ones, are of the person
    public static func priorPreservation(
        _ prediction: Tensor, _ target: Tensor, instances: Int, priorLossWeight: Float
    ) -> (total: Tensor, instance: Tensor, prior: Tensor) {
        let rows = prediction.shape[0]
        let instance = meanSquaredError(prediction[0..<instances], target[0..<instances])
        let prior = meanSquaredError(prediction[instances..<rows], target[instances..<rows])
        return (instance.blended(1, priorLossWeight, with: prior), instance, prior)
    }

    /// The mean squared error with each row weighted by min(SNR, γ) / SNR, SNR = ᾱ / (1 − ᾱ): small noise, where the
    /// error says little, counts less and training is faster (min-SNR, arXiv 2303.09556, for ε; γ = 5 as there).
    public func weightedError(_ prediction: Tensor, _ target: Tensor, timesteps: [Int], gamma: Double = 5) -> Tensor {
        let difference = prediction - target
        let rows = timesteps.enumerated().map { row, t in
            let ratio = Double(alphasCumprod[t]) / (1 - Double(alphasCumprod[t]))
            return difference[row..<row + 1].scaled(by: Float((min(ratio, gamma) / ratio).squareRoot()))
        }
        let weighted = Tensor.stacked(rows)
        return (weighted * weighted).mean()
    }
}
