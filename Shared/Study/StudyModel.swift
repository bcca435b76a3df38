internal import CLIP
internal import Checkpoint
internal import Diffusion
internal import Foundation
internal import IPAdapter
internal import ImageIO
internal import ImageMetrics
internal import ModelFolder
internal import NeuralNetwork
internal import TensorEngine
internal import Training

/// Everything of a model folder that a comparison needs, in one process.
struct StudyModel: Sendable {
    var pictures: PicturePipeline
    let conditioner: PersonConditioner
    let text: CLIPTextModel
    let tokenizer: BytePairTokenizer
    let vision: CLIPVisionModel
    let photos: PhotoEncoder
    let textProjection: Linear?
    let vae: AutoencoderKL
    let inception, identity: ScoringNetwork

    init(_ folder: PipelineFolder) throws {
        pictures = try PicturePipeline(folder)
        conditioner = try PersonConditioner(folder)
        text = try folder.text()
        tokenizer = try folder.tokenizer()
        vision = try folder.vision()
        photos = try PhotoEncoder(folder)
        textProjection = try folder.textProjection()
        vae = try folder.vae()
        guard let inception = try ScoringNetwork(folder, "inception"),
            let identity = try ScoringNetwork(folder, "identity")
        else {
            throw CheckpointError(
                "\(folder.url.path): has no evaluation/inception and evaluation/identity, without which nothing can be "
                    + "compared; train them with likeness train all")
        }
        (self.inception, self.identity) = (inception, identity)
    }

    /// Text states of one prompt, [77 · chunks, D].
    func states(_ prompt: String) -> Tensor { PromptEncoder(tokenizer, text)(prompt).states }

    /// Photos as the adapter reads them, [N, E].
    func conditioningEmbeddings(_ images: [RGBImage]) -> Tensor {
        let processor = CLIPImageProcessor(size: photos.side)
        return photos(.stacked(images.map { processor($0) }))
    }

    /// What the VAE makes of a photo, at the size that pictures are drawn in.
    func autoencoded(_ image: RGBImage) -> RGBImage {
        let side = pictures.unet.config.sampleSize * vae.config.downscale
        let pixels = image.clipCrop(size: side).tensor(scale: 2, offset: -1)
        return RGBImage(decoded: vae.decode(vae.encode(pixels).mean))
    }

    /// CLIP embeddings of pictures, [N, E].
    func imageEmbeddings(_ images: [RGBImage]) -> Tensor {
        let processor = CLIPImageProcessor(size: vision.config.imageSize)
        return vision(.stacked(images.map { processor($0) })).imageEmbeds
    }

    /// Cosine between each picture's CLIP embedding and its caption's; nil without a text projection.
    func textAlignment(_ images: [RGBImage], _ captions: [String]) -> [Double]? {
        guard let textProjection else { return nil }
        let a = imageEmbeddings(images)
        let b = textProjection(text(captions.map { tokenizer($0).ids }).pooled)
        return (0..<images.count).map { i in
            cosineSimilarity(a[i].scalars.map(Double.init), b[i].scalars.map(Double.init))
        }
    }
}
