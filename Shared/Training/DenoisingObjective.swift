internal import CLIP
internal import Checkpoint
internal import Diffusion
import Foundation
internal import IPAdapter
internal import ModelFolder
internal import TensorEngine

/// Latents, captions and photo embeddings of an album, computed once by the frozen parts of the model.
struct EncodedAlbum: Sendable {
    let album: Album
    /// Mean and deviation of every photo's posterior, times the scaling factor: [photos, h, w, latent channels] each.
    let mean, deviation: Tensor
    /// CLIP embedding of every photo [photos, E]; nil where no image condition is trained.
    let embeddings: Tensor?
    /// How many photos, the first ones, are of the person in question (DreamBooth); the rest are of the class.
    var instances = 0

    /// Encodes an album with a folder's VAE.
    ///
    /// - Parameter seen: the same photos at the side that the folder's vision tower reads, to be embedded
    init(_ album: Album, _ folder: PipelineFolder, seen: Album? = nil) throws {
        let vae = try folder.vae()
        let posteriors = Self.chunks(of: album).map { vae.encode(album.pixels($0)) }
        let factor = vae.config.scalingFactor
        self.album = album
        mean = .stacked(posteriors.map { $0.mean.scaled(by: factor) })
        deviation = .stacked(posteriors.map { $0.deviation.scaled(by: factor) })
        embeddings = try seen.map { seen in
            let vision = try folder.vision()
            return .stacked(Self.chunks(of: seen).map { vision(CLIPImageProcessor.pixels(of: seen, $0)).imageEmbeds })
        }
    }

    /// As many photos at once as have the pixels of 64 of the miniature's.
    private static func chunks(of album: Album) -> [[Int]] {
        let count = max(64 * 64 * 64 / (album.side * album.side), 1)
        return stride(from: 0, to: album.photos.count, by: count).map {
            Array($0..<min($0 + count, album.photos.count))
        }
    }

    /// Samples of the posteriors of `indices`, [N, h, w, latent channels].
    func latents(_ indices: [Int], _ noise: Tensor) -> Tensor { rows(mean, indices) + rows(deviation, indices) * noise }

    /// Mean embedding of each person's photos, [people, E].
    func averages() -> Tensor {
        guard let embeddings else { preconditionFailure("no photo embeddings") }
        return .stacked(
            album.people.map { photos in
                embeddings.gathered(photos).reshaped([1, photos.count, -1]).meanOverTokens()
            })
    }

    private func rows(_ table: Tensor, _ indices: [Int]) -> Tensor {
        table.reshaped([table.shape[0], -1]).gathered(indices).reshaped([indices.count] + table.shape.dropFirst())
    }
}

/// What every diffusion objective shares: the noised batch and the mean squared error of the predicted noise.
struct Denoising: Sendable {
    var unet: UNet2DConditionModel
    let loss: DiffusionLoss
    let captions: CaptionEncoder
    var data: EncodedAlbum
    var timestepSampling = TimestepSampling.uniform

    /// Draws time steps and noise for `photos` and gives the prediction's loss.
    func callAsFunction(
        _ photos: [Int], _ texts: [String], _ random: inout BatchRandom, adapter: (any CrossAttentionAdapter)? = nil
    ) throws -> Tensor {
        let (prediction, target, _) = try predict(photos, texts, &random, adapter: adapter)
        return DiffusionLoss.meanSquaredError(prediction, target)
    }

    func predict(
        _ photos: [Int], _ texts: [String], _ random: inout BatchRandom, adapter: (any CrossAttentionAdapter)? = nil
    ) throws -> (prediction: Tensor, target: Tensor, timesteps: [Int]) {
        let timesteps = photos.map { _ in timestepSampling.draw(below: loss.alphasCumprod.count, &random) }
        let shape = [2 * photos.count] + data.mean.shape.dropFirst()
        let normal = random.normal(shape)
        let noise = normal[0..<photos.count]
        let latents = data.latents(photos, normal[photos.count..<2 * photos.count])
        let noisy = loss.noisy(latents, noise, timesteps: timesteps)
        let prediction = unet(
            noisy, timesteps: timesteps.map(Float.init), unet.conditioning(captions(texts), adapter: adapter))
        return (prediction, loss.target(latents, noise, timesteps: timesteps), timesteps)
    }
}

extension Denoising {
    /// A folder's frozen parts and what they make of an album.
    ///
    /// - Parameter seen: the same photos at the side that the vision tower reads, where an image condition is trained
    /// - Throws: `CheckpointError` for a UNet that reads more than a latent, what the folder throws
    init(_ folder: PipelineFolder, _ unet: UNet2DConditionModel, _ album: Album, seen: Album? = nil) throws {
        let (channels, latent) = (unet.config.inChannels, try folder.vaeConfig().latentChannels)
        guard channels == latent else {
            throw CheckpointError(
                "\(folder.url.path): its UNet reads \(channels) channels, of which only \(latent) are a latent's; inpainting "
                    + "models cannot be trained, take the Stable Diffusion that it was made from")
        }
        let schedule = try folder.schedulerConfig()
        self.init(
            unet: unet,
            loss: DiffusionLoss(
                alphasCumprod: try schedule.alphasCumprod(), predictsVelocity: try schedule.predictsVelocity()),
            captions: CaptionEncoder(try folder.text(), try folder.tokenizer()),
            data: try EncodedAlbum(album, folder, seen: seen))
    }
}

/// Trains the UNet on captioned photos; the caption is dropped (empty) for some, for classifier-free guidance.
struct DenoisingObjective: TrainingObjective {
    let parameters: [String: Tensor]
    let batchSize: Int
    let denoising: Denoising
    let seed: UInt64
    static let textDropout = 0.1

    func loss(batch number: Int) throws -> Tensor {
        var random = BatchRandom(seed: seed, name: "unet", batch: number)
        let album = denoising.data.album
        let photos = (0..<batchSize).map { _ in random.integer(below: album.photos.count) }
        let texts = photos.map { index in
            if random.chance(Self.textDropout) { return "" }
            let photo = album.photos[index]
            // Half of them say what the person looks like, as captions found on the web sometimes do.
            guard let appearance = photo.appearance, random.chance(0.5) else { return photo.caption }
            return "\(photo.caption), \(appearance)"
        }
        let (prediction, target, timesteps) = try denoising.predict(photos, texts, &random)
        return denoising.loss.weightedError(prediction, target, timesteps: timesteps)
    }
}

/// Trains IP-Adapter: projection and W'k, W'v, the UNet frozen (paper eq. 17). The image condition is the photo itself,
/// as in the reference implementation; image, text and both are each dropped for one photo in twenty.
struct AdapterObjective: TrainingObjective {
    let parameters: [String: Tensor]
    let batchSize: Int
    let denoising: Denoising
    let adapter: IPAdapterModel
    let seed: UInt64
    static let dropout = 0.05

    func loss(batch number: Int) throws -> Tensor {
        var random = BatchRandom(seed: seed, name: "ip-adapter", batch: number)
        let album = denoising.data.album
        let photos = (0..<batchSize).map { _ in random.integer(below: album.photos.count) }
        let dropped = Dropout.draw(batchSize, Self.dropout, &random)
        let texts = zip(photos, dropped).map { $1.text ? "" : album.photos[$0].caption }
        guard let embeddings = denoising.data.embeddings else { preconditionFailure("no photo embeddings") }
        let images = embeddings.gathered(photos).reshaped([batchSize, 1, -1])
        let tokens = adapter.projection(Dropout.apply(dropped, to: images))
        return try denoising(photos, texts, &random, adapter: adapter.conditioned(on: tokens, scale: 1))
    }
}

/// Trains IP-Adapter with self-attention, the paper's method: of ten photos of one person one, chosen uniformly, is
/// reconstructed from its caption and the other nine (eq. 1 and section 3.5).
struct SelfAttentionObjective: TrainingObjective {
    let parameters: [String: Tensor]
    let batchSize: Int
    let denoising: Denoising
    let adapter: IPAdapterModel
    let attention: PhotoSelfAttention
    let aggregation: Aggregation
    let seed: UInt64

    func loss(batch number: Int) throws -> Tensor {
        var random = BatchRandom(seed: seed, name: "self-attention", batch: number)
        let album = denoising.data.album
        let count = PhotoSelfAttention.photos
        var (hidden, shown) = ([Int](), [Int]())
        for _ in 0..<batchSize {
            let person = album.people[random.integer(below: album.people.count)]
            let ten = random.sample(count + 1, below: person.count).map { person[$0] }
            hidden.append(ten[0])
            let rest = ten.count > 1 ? Array(ten.dropFirst()) : ten
            // Fewer than nine others: bootstrap.
            shown += rest + (0..<max(count - rest.count, 0)).map { _ in rest[random.integer(below: rest.count)] }
        }
        let dropped = Dropout.draw(batchSize, AdapterObjective.dropout, &random)
        let texts = zip(hidden, dropped).map { $1.text ? "" : album.photos[$0].caption }
        guard let embeddings = denoising.data.embeddings else { preconditionFailure("no photo embeddings") }
        let images = embeddings.gathered(shown).reshaped([batchSize, count, -1])
        let tokens = adapter.projection(try aggregation(Dropout.apply(dropped, to: images), attention))
        return try denoising(hidden, texts, &random, adapter: adapter.conditioned(on: tokens, scale: 1))
    }
}

/// Which conditions of a row are dropped. A dropped image is a zero embedding, before any aggregation.
struct Dropout {
    var text, image: Bool

    /// Image, text and both are each dropped with probability `p`.
    static func draw(_ count: Int, _ p: Double, _ random: inout BatchRandom) -> [Dropout] {
        (0..<count).map { _ in
            let place = Double(random.integer(below: 1 << 20)) / Double(1 << 20)
            return Dropout(text: place >= p && place < 3 * p, image: place < 2 * p)
        }
    }

    /// Rows of [N, photos, E] zeroed where the image is dropped.
    static func apply(_ dropped: [Dropout], to images: Tensor) -> Tensor {
        .stacked(dropped.enumerated().map { images[$0..<$0 + 1].scaled(by: $1.image ? 0 : 1) })
    }
}
