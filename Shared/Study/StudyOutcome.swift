import Foundation
internal import ImageMetrics
internal import TensorEngine

/// All that a study measured.
public struct StudyOutcome: Codable, Sendable {
    /// What was done.
    public let settings: StudySettings
    /// Every picture with its scores.
    public internal(set) var pictures: [StudyPicture] = []
    /// Mean cosine between a person's unseen and reference photos, by person.
    public internal(set) var samePerson: [Double] = []
    /// Mean cosine between a person's unseen photos and other people's, by person.
    public internal(set) var otherPeople: [Double] = []
    /// Pictures made from the first 1 … 9 reference photos: identity similarity by method and number of photos.
    public internal(set) var byPhotos: [PhotoCount] = []
    /// Features of the unseen photos, by person.
    var realFeatures: [[[Double]]] = []

    /// A point of the curve over the number of photos.
    public struct PhotoCount: Codable, Sendable {
        public var method: StudyMethod
        public var photos: Int
        /// Mean identity similarity of each person's pictures.
        public var similarities: [Double]
    }

    /// A row of the table.
    public struct Row: Sendable {
        public var method: StudyMethod
        public var identity, alignment, inceptionScore, distance: Interval
        /// To make one picture, without fine-tuning.
        public var seconds: Double
    }

    init(settings: StudySettings) { self.settings = settings }

    /// The methods that took part, in the order of the paper's table.
    public var methods: [StudyMethod] { StudyMethod.allCases.filter { m in pictures.contains { $0.method == m } } }

    /// The table's rows.
    public func rows(resamples: Int = 1000) throws -> [Row] {
        try methods.map { method in
            let own = pictures.filter { $0.method == method }
            let bootstrap = Bootstrap(
                people: Set(own.map(\.person)).sorted(), resamples: resamples, seed: settings.seed)
            let few = Bootstrap(people: bootstrap.people, resamples: min(resamples, 200), seed: settings.seed)
            return Row(
                method: method, identity: bootstrap.interval { mean(method, $0, \.identitySimilarity) },
                alignment: bootstrap.interval { mean(method, $0) { $0.textAlignment ?? .nan } },
                inceptionScore: try few.interval { try inceptionScore(method, $0) },
                distance: try few.interval { try distance(method, $0) },
                seconds: own.reduce(0) { $0 + $1.seconds } / Double(own.count))
        }
    }

    /// What a score gains from `b` to `a` for the same resampled people; the interval holds 0 where it is by chance.
    public func identityGain(of a: StudyMethod, over b: StudyMethod, resamples: Int = 1000) -> Interval {
        let people = Set(pictures.filter { $0.method == a }.map(\.person)).sorted()
        return Bootstrap(people: people, resamples: resamples, seed: settings.seed).interval {
            mean(a, $0, \.identitySimilarity) - mean(b, $0, \.identitySimilarity)
        }
    }

    /// The same of FID: negative where `a` is nearer to real photos.
    public func distanceGain(of a: StudyMethod, over b: StudyMethod, resamples: Int = 200) throws -> Interval {
        let people = Set(pictures.filter { $0.method == a }.map(\.person)).sorted()
        return try Bootstrap(people: people, resamples: resamples, seed: settings.seed).interval {
            try distance(a, $0) - distance(b, $0)
        }
    }

    private func rows(_ method: StudyMethod, _ people: [Int]) -> [StudyPicture] {
        let own = Dictionary(grouping: pictures.filter { $0.method == method }, by: \.person)
        return people.flatMap { own[$0, default: []] }
    }

    private func mean(_ method: StudyMethod, _ people: [Int], _ value: (StudyPicture) -> Double) -> Double {
        let values = rows(method, people).map(value)
        return values.reduce(0, +) / Double(max(values.count, 1))
    }

    private func inceptionScore(_ method: StudyMethod, _ people: [Int]) throws -> Double {
        try InceptionScore.of(logits: rows(method, people).map(\.logits), splits: 1).mean
    }

    private func distance(_ method: StudyMethod, _ people: [Int]) throws -> Double {
        try FrechetDistance.between(
            FeatureStatistics(features: rows(method, people).map(\.features)),
            FeatureStatistics(features: people.flatMap { realFeatures[$0] }))
    }
}

/// A value and the interval that holds it in 95 of 100 resamples of the people.
public struct Interval: Codable, Sendable {
    public var value, low, high: Double

    /// Whether zero lies outside.
    public var excludesZero: Bool { low > 0 || high < 0 }
}

/// Percentile bootstrap (Efron 1979) over people, not pictures: a person's pictures resemble each other. The percentiles
/// are moved by the bootstrap's estimate of the score's bias: FID of resampled, hence fewer different people is larger.
struct Bootstrap {
    let people: [Int]
    let resamples: Int
    let seed: UInt64

    /// The interval of a score; with one person it is NaN, as nothing can be said of others.
    func interval(_ score: ([Int]) throws -> Double) rethrows -> Interval {
        let value = try score(people)
        guard people.count > 1 else { return Interval(value: value, low: .nan, high: .nan) }
        let random = Philox(seed: seed, stream: 99)
        var draw = 0
        let again = try (0..<resamples).map { _ in
            try score(
                people.map { _ in
                    draw += 1
                    return people[random.integer(draw, below: people.count)]
                })
        }.sorted()
        let last = again.count - 1
        let bias = again.reduce(0, +) / Double(max(again.count, 1)) - value
        return Interval(
            value: value, low: again[Int((0.025 * Double(last)).rounded())] - bias,
            high: again[Int((0.975 * Double(last)).rounded())] - bias)
    }
}
