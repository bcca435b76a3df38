import Foundation
import ImageMetrics
import Testing

/// Scores where the numbers are known otherwise.
@Suite struct FrechetDistanceTests {
    /// Deterministic numbers of mean 0.
    private func rows(_ count: Int, _ width: Int, seed: UInt64) -> [[Double]] {
        var state = seed
        return (0..<count).map { _ in
            (0..<width).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Double(state >> 11) / Double(1 << 53) * 2 - 1
            }
        }
    }

    /// Fifty pictures of 2048 features: covariances of rank 49. With Y = c·X + m the distance is known exactly:
    /// |m|² + (1 − c)² tr Σ, as √(Σ · c²Σ) = c·Σ.
    @Test func fewerPicturesThanFeaturesGiveTheExactDistance() throws {
        let x = rows(50, 2048, seed: 1)
        let c = 1.3
        let shift = (0..<2048).map { 0.01 * Double($0 % 7) }
        let y = x.map { row in zip(row, shift).map { c * $0 + $1 } }
        let (a, b) = (try FeatureStatistics(features: x), try FeatureStatistics(features: y))
        let trace = (0..<2048).reduce(0) { $0 + a.covariance[$1 * 2048 + $1] }
        let move = zip(a.mean, b.mean).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let want = move + (1 - c) * (1 - c) * trace
        let got = try FrechetDistance.between(a, b)
        #expect(abs(got - want) < 1e-5 * want)
        #expect(abs(try FrechetDistance.between(a, a)) < 1e-6 * trace)
    }

    @Test func tooFewPicturesAreRefused() throws {
        let x = rows(4, 8, seed: 2)
        #expect(throws: MetricError.self) { try FidelityScores(features: x, logits: x, others: x) }
        var settings = FidelityScores.Settings()
        (settings.subsetSize, settings.splits) = (4, 2)
        let scores = try FidelityScores(features: x, logits: x, others: x, settings: settings)
        // Roots of eigenvalues that are zero up to rounding: √ε of a trace of about 3.
        #expect(abs(scores.fid) < 1e-6 && scores.inceptionScoreMean >= 1)
    }
}
