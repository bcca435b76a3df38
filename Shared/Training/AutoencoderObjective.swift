import Diffusion
public import TensorEngine

/// Trains a VAE: mean squared error of the picture that a sample of the posterior decodes to, plus a little of the
/// posterior's divergence from the standard normal (Kingma and Welling, arXiv 1312.6114, eq. 7; weight as in latent
/// diffusion's KL autoencoders, 1e-6 for each sum over a latent).
public struct AutoencoderObjective: TrainingObjective {
    public let parameters: [String: Tensor]
    public let batchSize: Int
    let vae: AutoencoderKL
    let album: Album
    let seed: UInt64
    /// Weight of the divergence, by picture.
    let divergenceWeight: Float

    /// - Parameter vae: made from parameters
    init(
        _ vae: AutoencoderKL, _ parameters: [String: Tensor], album: Album, batchSize: Int, seed: UInt64,
        divergenceWeight: Float = 1e-6
    ) {
        (self.vae, self.parameters, self.album) = (vae, parameters, album)
        (self.batchSize, self.seed, self.divergenceWeight) = (batchSize, seed, divergenceWeight)
    }

    public func loss(batch number: Int) -> Tensor {
        var random = BatchRandom(seed: seed, name: "vae", batch: number)
        let pixels = album.pixels((0..<batchSize).map { _ in random.integer(below: album.photos.count) })
        let posterior = vae.encode(pixels)
        let picture = vae.decode(posterior.sample(random.normal(posterior.mean.shape)))
        let error = DiffusionLoss.meanSquaredError(picture, pixels)
        // Σ ½ (μ² + σ² − 1 − ln σ²), the mean over the batch.
        let variance = posterior.deviation * posterior.deviation
        let divergence = (posterior.mean * posterior.mean + variance - posterior.logVariance).sum()
            .scaled(by: 0.5 / Float(batchSize))
        return error.blended(1, divergenceWeight, with: divergence)
    }
}
