internal import ImageMetrics
internal import TensorEngine

/// Trains the miniature's Inception: which of 32 classes a picture shows, by plain cross entropy.
struct ClassifierObjective: TrainingObjective {
    let parameters: [String: Tensor]
    let batchSize: Int
    let network: EvaluationNetwork
    let album: Album
    let seed: UInt64

    func loss(batch number: Int) -> Tensor {
        var random = BatchRandom(seed: seed, name: "inception", batch: number)
        let chosen = (0..<batchSize).map { _ in random.integer(below: album.photos.count) }
        return network(album.pixels(chosen)).logits.crossEntropy(chosen.map { PhotoClass.of(album.photos[$0].caption) })
    }
}

/// The 32 classes of the miniature's Inception: eight expressions, with or without a hat, with or without glasses, as a
/// photo's caption says.
enum PhotoClass {
    static let count = 32
    private static let expressions = ["smiling", "laughing", "sad", "surprised", "angry", "winking", "sleeping"]
    private static let hats = [" cap", " beanie", " hat"]

    static func of(_ caption: String) -> Int {
        let expression = expressions.firstIndex { caption.contains($0) }.map { $0 + 1 } ?? 0
        let hat = hats.contains { caption.contains($0) } ? 1 : 0
        return expression * 4 + hat * 2 + (caption.contains("glasses") ? 1 : 0)
    }
}

/// Trains the identity embedder: which person of the training set a photo shows, by the large-margin cosine loss
/// (CosFace, arXiv 1801.09414, eq. 4). The class vectors are thrown away afterwards.
struct IdentityObjective: TrainingObjective {
    let parameters: [String: Tensor]
    let batchSize: Int
    let network: EvaluationNetwork
    /// One vector for each person, [people, features].
    let centres: Tensor
    let album: Album
    let seed: UInt64
    static let scale: Float = 16
    static let margin: Float = 0.2

    func loss(batch number: Int) -> Tensor {
        var random = BatchRandom(seed: seed, name: "identity", batch: number)
        let chosen = (0..<batchSize).map { _ in random.integer(below: album.photos.count) }
        let people = chosen.map { album.photos[$0].person }
        let classes = centres.shape[0]
        let cosines = network(album.pixels(chosen)).features.normalizedRows().linear(centres.normalizedRows())
        var margins = [Float](repeating: 0, count: chosen.count * classes)
        for (row, person) in people.enumerated() { margins[row * classes + person] = Self.margin }
        return (cosines - Tensor(margins, shape: cosines.shape)).scaled(by: Self.scale).crossEntropy(people)
    }
}
