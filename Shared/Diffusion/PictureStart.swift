public import TensorEngine

/// What a run starts from that changes a given picture rather than making one from nothing: image-to-image, and
/// inpainting where there is a mask. Matches diffusers `StableDiffusionImg2ImgPipeline` and
/// `StableDiffusionInpaintPipeline` (`get_timesteps`, `prepare_latents` and the blending in its loop).
public struct PictureStart: Sendable {
    /// The picture's latent, times the VAE's scaling factor: [1, h, w, 4].
    public let latent: Tensor
    /// How much of the schedule is run, from 0 (nothing) to 1 (all of it).
    public let strength: Double
    /// 1 where the picture is drawn anew, 0 where it is kept: [1, h, w, 1]; nil for image-to-image.
    public let mask: Tensor?
    /// The masked picture's latent for a UNet that reads it: [1, h, w, 4]; nil for one of four channels, where what is kept
    /// is put back into the latent after each step.
    public let maskedLatent: Tensor?

    /// All of them.
    public init(latent: Tensor, strength: Double, mask: Tensor? = nil, maskedLatent: Tensor? = nil) {
        (self.latent, self.strength, self.mask, self.maskedLatent) = (latent, strength, mask, maskedLatent)
    }

    /// The scheduler's first call: int(steps · strength) steps are left.
    public func firstCall(_ scheduler: any Scheduler, steps: Int) -> Int {
        let left = min(Int(Double(steps) * strength), steps)
        return min(max(steps - left, 0) * scheduler.callsPerStep, scheduler.timesteps.count)
    }

    /// Inpainting at full strength starts from noise alone, everything else from the noised picture.
    func noised(_ noise: Tensor, _ scheduler: any Scheduler, at first: Int) -> Tensor {
        if mask != nil, strength == 1 { return noise.scaled(by: scheduler.initNoiseSigma) }
        // Nothing is left to do.
        guard first < scheduler.timesteps.count else { return latent }
        return Tensor(
            scheduler.addNoise(original: latent.scalars, noise: noise.scalars, at: first), shape: latent.shape)
    }

    /// Channels that the UNet reads after the latent's own: mask and masked picture.
    var channels: Tensor? { maskedLatent.flatMap { masked in mask.map { .concatenated($0, masked) } } }

    /// The picture, noised as the sample is before call `next`, where the mask is 0.
    func kept(_ sample: Tensor, _ noise: Tensor, _ scheduler: any Scheduler, before next: Int) -> Tensor {
        guard let mask, maskedLatent == nil else { return sample }
        let picture =
            next < scheduler.timesteps.count
            ? scheduler.addNoise(original: latent.scalars, noise: noise.scalars, at: next) : latent.scalars
        let (drawn, keeps, channels) = (sample.scalars, mask.scalars, sample.shape[3])
        let mixed = drawn.indices.map { i in
            let m = keeps[i / channels]
            return (1 - m) * picture[i] + m * drawn[i]
        }
        return Tensor(mixed, shape: sample.shape)
    }
}
