import Diffusion
public import TensorEngine

/// Trains a VAE: mean absolute error of the picture that a sample of the posterior decodes to, and of its differences
/// between neighbouring pixels, plus a little of the posterior's divergence from the standard normal (Kingma and Welling,
/// arXiv 1312.6114, eq. 7, summed over a latent; latent diffusion's KL autoencoders weigh it by 1e-6).
///
/// Absolute and not squared, as in latent diffusion: squared errors prefer blurred outlines. Differences between
/// neighbours stand for its perceptual loss, for which there is no network here; without them eyes come out last.
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
        divergenceWeight: Float = 1e-7
    ) {
        (self.vae, self.parameters, self.album) = (vae, parameters, album)
        (self.batchSize, self.seed, self.divergenceWeight) = (batchSize, seed, divergenceWeight)
    }

    public func loss(batch number: Int) -> Tensor {
        var random = BatchRandom(seed: seed, name: "vae", batch: number)
        let pixels = album.pixels((0..<batchSize).map { _ in random.integer(below: album.photos.count) })
        let posterior = vae.encode(pixels)
        let picture = vae.decode(posterior.sample(random.normal(posterior.mean.shape)))
        let error = Self.error(picture - pixels)
        // Σ ½ (μ² + σ² − 1 − ln σ²), the mean over the batch.
        let variance = posterior.deviation * posterior.deviation
        let divergence = (posterior.mean * posterior.mean + variance - posterior.logVariance).sum()
            .scaled(by: 0.5 / Float(batchSize))
        return error.blended(1, divergenceWeight, with: divergence)
    }

    /// Mean absolute value of a difference [N, H, W, C] and of its steps down and to the right.
    static func error(_ difference: Tensor) -> Tensor {
        let (n, h, w, c) = (difference.shape[0], difference.shape[1], difference.shape[2], difference.shape[3])
        // What is to be stepped over comes first: slices are of the first axis.
        let rows = difference.reshaped([n, h * w * c]).transposed()
        let columns = difference.reshaped([n * h, w * c]).transposed()
        let down = rows[w * c..<h * w * c] - rows[0..<(h - 1) * w * c]
        let right = columns[c..<w * c] - columns[0..<(w - 1) * c]
        return meanAbsolute(difference).blended(1, 1, with: meanAbsolute(down).blended(1, 1, with: meanAbsolute(right)))
    }

    /// Mean of |x| = 2 · max(x, 0) − x.
    private static func meanAbsolute(_ x: Tensor) -> Tensor { x.activated(.relu).blended(2, -1, with: x).mean() }
}
