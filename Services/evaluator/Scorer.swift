import Contracts
import Foundation
import ImageIO
import ImageMetrics
import ModelFolder

/// A method's pictures → its row of the table.
struct Scorer: Sendable {
    /// Features and class logits, for FID and IS.
    let inception: ScoringNetwork?
    /// Identity embeddings.
    let identity: ScoringNetwork?
    let isRandom: Bool

    init(_ folder: PipelineFolder) throws {
        inception = try ScoringNetwork(folder, "inception")
        identity = try ScoringNetwork(folder, "identity")
        isRandom = folder.isRandomMiniature
    }

    /// Photos of the person, as far as they score.
    struct Photos: Sendable {
        var references: [RGBImage]
        /// Never given to any method.
        var unseen: [RGBImage]
        /// Of other people: how similar strangers are.
        var ofOthers: [RGBImage]
    }

    /// FID, IS and identity similarity of one method's pictures.
    func callAsFunction(_ method: Method, _ pictures: [RGBImage], _ photos: Photos) throws -> [MetricView] {
        func metric(_ name: MetricName, _ value: Double?, _ note: String?) -> MetricView {
            let random = value != nil && isRandom ? "from an untrained network" : nil
            let notes = [note, random].compactMap { $0 }.joined(separator: "; ")
            return MetricView(
                method: method, name: name, value: value, samples: pictures.count, note: notes.isEmpty ? nil : notes)
        }
        let missing = "no evaluation networks in the models folder (evaluation/inception, evaluation/identity)"
        var metrics: [MetricView] = []
        if let inception {
            let (features, logits) = inception(pictures)
            // Unseen photos where there are enough for a covariance, else all of them.
            let real = photos.unseen.count >= 2 ? photos.unseen : photos.references + photos.unseen
            if pictures.count >= 2, real.count >= 2 {
                let distance = try FrechetDistance.between(
                    FeatureStatistics(features: features), FeatureStatistics(features: inception(real).features))
                let kind = photos.unseen.count >= 2 ? "unseen" : "reference"
                metrics.append(metric(.fid, distance, "against \(real.count) \(kind) photos"))
            } else {
                metrics.append(metric(.fid, nil, "needs at least two pictures and two photos"))
            }
            let splits = min(10, max(1, pictures.count / 10))
            let score = try InceptionScore.of(logits: logits, splits: splits)
            metrics.append(metric(.inceptionScore, score.mean, "\(splits) split\(splits == 1 ? "" : "s")"))
        } else {
            metrics += [metric(.fid, nil, missing), metric(.inceptionScore, nil, missing)]
        }
        if let identity {
            if photos.unseen.isEmpty {
                metrics.append(metric(.identitySimilarity, nil, "no photo was left unseen: add photos"))
            } else {
                let made = identity(pictures).features
                let real = identity(photos.unseen).features
                metrics.append(
                    metric(
                        .identitySimilarity, Self.meanCosine(made, real),
                        "to \(real.count) unseen photos; " + yardstick(identity, real, photos)))
            }
        } else {
            metrics.append(metric(.identitySimilarity, nil, missing))
        }
        return metrics
    }

    /// What the person's real photos and those of others reach by the same measure.
    private func yardstick(
        _ identity: ScoringNetwork, _ unseen: [[Double]], _ photos: Photos
    ) -> String {
        let own = identity(photos.references).features
        var words = String(format: "the person's other photos reach %.3f", Self.meanCosine(own, unseen))
        if !photos.ofOthers.isEmpty {
            let others = identity(photos.ofOthers).features
            words += String(
                format: ", photos of %d other people %.3f", photos.ofOthers.count, Self.meanCosine(others, unseen))
        }
        return words
    }

    private static func meanCosine(_ a: [[Double]], _ b: [[Double]]) -> Double {
        let all = a.flatMap { a in b.map { cosineSimilarity(a, $0) } }
        return all.reduce(0, +) / Double(max(all.count, 1))
    }
}
