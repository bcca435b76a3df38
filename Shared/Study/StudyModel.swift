internal import CLIP
internal import Checkpoint
internal import Diffusion
internal import Foundation
internal import IPAdapter
internal import ImageIO
internal import ImageMetrics
internal import ModelFolder
internal import TensorEngine
internal import Training

/// Everything of a model folder that a comparison needs, in one process.
struct StudyModel: Sendable {
    var pictures: PicturePipeline
    let conditioner: PersonConditioner
    let text: CLIPTextModel
    let tokenizer: BytePairTokenizer
    let photos: PhotoEncoder
    let vae: AutoencoderKL
    let inception: ScoringNetwork
    let identity: IdentityNetwork
    let alignment: AlignmentNetwork

    init(_ folder: PipelineFolder) throws {
        pictures = try PicturePipeline(folder)
        conditioner = try PersonConditioner(folder)
        text = try folder.text()
        tokenizer = try folder.tokenizer()
        photos = try PhotoEncoder(folder)
        vae = try folder.vae()
        guard let inception = try ScoringNetwork(folder, "inception"),
            let identity = try IdentityNetwork(folder)
        else {
            throw CheckpointError(
                "\(folder.url.path): lacks evaluation/inception or a network that tells people apart (evaluation/facenet, "
                    + "evaluation/arcface or evaluation/identity), without which nothing can be compared; put them there, or "
                    + "train the miniature's with likeness train all")
        }
        (self.inception, self.identity) = (inception, identity)
        alignment = try AlignmentNetwork(folder)
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

    /// Identity embeddings of the photos that show a face.
    func faces(_ photos: [RGBImage]) -> [[Double]] { identity(photos).compactMap(\.embedding) }

    /// Mean cosine of the face in a picture to those of photos; 0 where the picture shows nobody.
    func similarity(_ image: RGBImage, to faces: [[Double]]) -> Double {
        guard let own = identity([image])[0].embedding, !faces.isEmpty else { return 0 }
        return faces.reduce(0) { $0 + cosineSimilarity(own, $1) } / Double(faces.count)
    }

    /// Cosine between a picture's CLIP embedding and its caption's; nil where the folder has no CLIP of both.
    func textAlignment(_ image: RGBImage, _ caption: String) -> Double? {
        alignment.embeddings([caption]).map { cosineSimilarity(alignment.embeddings([image])[0], $0[0]) }
    }
}
