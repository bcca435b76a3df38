internal import CLIP
import NeuralNetwork
internal import TensorEngine

/// Trains CLIP's two towers: in a batch of captioned photos every photo is to find its caption and every caption its
/// photo (Radford et al., arXiv 2103.00020, figure 3).
///
/// Half of the captions say only what the person looks like, a quarter the scene, a quarter both. With both in all of
/// them the scene alone tells a batch apart, and the image tower learns nothing of hair, beard and eyes, which is what
/// IP-Adapter has to read from it.
struct ContrastiveObjective: TrainingObjective {
    let parameters: [String: Tensor]
    let batchSize: Int
    let text: CLIPTextModel
    let vision: CLIPVisionModel
    let textProjection: Linear
    let tokenizer: BytePairTokenizer
    let album: Album
    let seed: UInt64
    /// exp of CLIP's logit scale; fixed.
    static let logitScale: Float = 20

    func loss(batch number: Int) -> Tensor {
        var random = BatchRandom(seed: seed, name: "clip", batch: number)
        let chosen = random.sample(batchSize, below: album.photos.count)
        let captions = chosen.map { index in
            let photo = album.photos[index]
            guard let appearance = photo.appearance else { return photo.caption }
            return switch random.integer(below: 4) {
            case 0, 1: appearance
            case 2: photo.caption
            default: "\(photo.caption), \(appearance)"
            }
        }
        let tokens = captions.map { tokenizer($0) }
        // Attention is causal: what follows the longest text's end token changes nothing.
        let longest = tokens.map { $0.attentionMask.reduce(0, +) }.max() ?? 0
        let texts = textProjection(text(tokens.map { Array($0.ids.prefix(longest)) }).pooled).normalizedRows()
        let images = vision(CLIPImageProcessor.pixels(of: album, chosen)).imageEmbeds.normalizedRows()
        let logits = images.linear(texts).scaled(by: Self.logitScale)
        let labels = Array(0..<chosen.count)
        return logits.crossEntropy(labels).blended(0.5, 0.5, with: logits.transposed().crossEntropy(labels))
    }
}

extension CLIPImageProcessor {
    /// Photos that already have the tower's size, normalised.
    static func pixels(of album: Album, _ indices: [Int]) -> Tensor {
        album.tensor(
            indices, scale: deviation.map { 1 / $0 }, offset: zip(mean, deviation).map { -$0 / $1 })
    }
}
