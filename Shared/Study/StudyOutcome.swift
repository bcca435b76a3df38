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
    /// Features of the unseen photos, by person.
    var realFeatures: [[[Double]]] = []

    /// A row of the table.
    public struct Row: Sendable {
        public var method: StudyMethod
        public var identity, alignment, inceptionScore, distance: Interval
        public var seconds: Double
    }

    /// A value and the interval that holds it in 95 of 100 resamples of the people.
    public struct Interval: Sendable {
        public var value, low, high: Double
    }

    init(settings: StudySettings) { self.settings = settings }

    /// The table's rows, in the order of the paper's.
    public func rows(resamples: Int = 200) throws -> [Row] {
        try StudyMethod.allCases.compactMap { method in
            let own = pictures.filter { $0.method == method }
            guard !own.isEmpty else { return nil }
            let people = Dictionary(grouping: own, by: \.person)
            func interval(_ score: ([Int]) throws -> Double) rethrows -> Interval {
                let all = people.keys.sorted()
                let value = try score(all)
                let random = Philox(seed: settings.seed, stream: 99)
                var draw = 0
                let again = try (0..<resamples).map { _ in
                    try score(
                        all.map { _ in
                            draw += 1
                            return all[random.integer(draw, below: all.count)]
                        })
                }.sorted()
                return Interval(
                    value: value, low: again[resamples * 25 / 1000],
                    high: again[min(resamples * 975 / 1000, resamples - 1)])
            }
            func mean(_ value: @escaping (StudyPicture) -> Double) -> Interval {
                interval { chosen in
                    let values = chosen.flatMap { people[$0, default: []].map(value) }
                    return values.reduce(0, +) / Double(values.count)
                }
            }
            return Row(
                method: method, identity: mean(\.identitySimilarity), alignment: mean { $0.textAlignment ?? .nan },
                inceptionScore: try interval { chosen in
                    try InceptionScore.of(logits: chosen.flatMap { people[$0, default: []].map(\.logits) }, splits: 1)
                        .mean
                },
                distance: try interval { chosen in
                    try FrechetDistance.between(
                        FeatureStatistics(features: chosen.flatMap { people[$0, default: []].map(\.features) }),
                        FeatureStatistics(features: chosen.flatMap { realFeatures[$0] }))
                },
                seconds: own.reduce(0) { $0 + $1.seconds } / Double(own.count))
        }
    }
}
