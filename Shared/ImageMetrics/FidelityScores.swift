/// FID, IS and KID of a set of pictures against another, with torch-fidelity's defaults and its random numbers (seed 2020):
/// the same pictures and weights give the same scores.
public struct FidelityScores: Sendable, Encodable {
    /// Fréchet distance.
    public let fid: Double
    /// Inception score of the first set, over shuffled splits.
    public let inceptionScoreMean, inceptionScoreDeviation: Double
    /// Kernel distance over random subsets.
    public let kidMean, kidDeviation: Double

    /// What may be chosen.
    public struct Settings: Sendable {
        /// Parts of the set that IS is computed for.
        public var splits = 10
        /// Subsets that KID is computed for.
        public var subsets = 100
        /// Pictures of each set in a subset.
        public var subsetSize = 1000
        /// Of what is drawn.
        public var seed: UInt32 = 2020

        /// torch-fidelity's defaults.
        public init() {}
    }

    /// - Parameters:
    ///   - features: of the first set; [N, 2048] of ``InceptionV3``
    ///   - logits: of the first set, without the bias; [N, 1008]
    ///   - others: features of the second set
    /// - Throws: ``MetricError`` where there are too few pictures
    public init(
        features: [[Double]], logits: [[Double]], others: [[Double]], settings: Settings = Settings()
    ) throws {
        let (n, m, size) = (features.count, others.count, settings.subsetSize)
        guard size >= 2, size <= min(n, m) else {
            throw MetricError(
                "KID's subsets of \(size) pictures cannot be drawn from \(n) and \(m); choose a size of 2 to \(min(n, m))"
            )
        }
        guard settings.subsets > 0, settings.splits > 0 else {
            throw MetricError("there must be at least one subset and one split")
        }
        fid = try FrechetDistance.between(FeatureStatistics(features: features), FeatureStatistics(features: others))
        var shuffle = NumPyRandom(seed: settings.seed)
        let shuffled = shuffle.permutation(n).map { logits[$0] }
        (inceptionScoreMean, inceptionScoreDeviation) = try InceptionScore.of(logits: shuffled, splits: settings.splits)
        var random = NumPyRandom(seed: settings.seed)
        let subsets = (0..<settings.subsets).map { _ in
            let a = Array(random.permutation(n).prefix(size))
            return (a: a, b: Array(random.permutation(m).prefix(size)))
        }
        let kernel = try KernelDistance.between(features, others, subsets: subsets)
        (kidMean, kidDeviation) = (kernel.mean, kernel.deviation)
    }
}
