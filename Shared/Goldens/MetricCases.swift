internal import Checkpoint
import Foundation
internal import ImageMetrics
internal import TensorEngine

extension GoldenSuite {
    static func checkMetrics(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        struct Case: Decodable {
            struct Values: Decodable {
                struct Distance: Decodable { var symmetric_eigh: Double }
                struct Score: Decodable { var splits: Int, mean: Double, std: Double }
                struct Kernel: Decodable { var mean: Double, std: Double, per_subset: [Double] }
                var fid, fid_same, fid_rank_deficient: Distance
                var inception_score: Score
                var kid: Kernel
            }
            var values: Values
        }
        let want = try golden.decode(Case.self).values
        func rows(_ name: String) throws -> [[Double]] {
            guard let width = golden.tensors.shape(of: name)?.last else { throw golden.missing(name) }
            let all = try golden.tensors.doubles(name)
            return stride(from: 0, to: all.count, by: width).map { Array(all[$0..<$0 + width]) }
        }
        let (a, b) = (try rows("in.features_a"), try rows("in.features_b"))
        let (statisticsA, statisticsB) = (try FeatureStatistics(features: a), try FeatureStatistics(features: b))
        for (tag, statistics) in [("a", statisticsA), ("b", statisticsB)] {
            comparison.compare("out.mean_\(tag)", statistics.mean, try golden.tensors.doubles("out.mean_\(tag)"))
            comparison.compare(
                "out.covariance_\(tag)", statistics.covariance, try golden.tensors.doubles("out.covariance_\(tag)"))
        }
        comparison.compare(
            "fid", [try FrechetDistance.between(statisticsA, statisticsB)], [want.fid.symmetric_eigh])
        comparison.compare(
            "fid_same", [try FrechetDistance.between(statisticsA, statisticsA)], [want.fid_same.symmetric_eigh])
        let deficient = try FrechetDistance.between(
            FeatureStatistics(features: rows("in.rank_deficient_1")),
            FeatureStatistics(features: rows("in.rank_deficient_2")))
        comparison.compare(
            "fid_rank_deficient", [deficient], [want.fid_rank_deficient.symmetric_eigh],
            Tolerance(atol: 0, rtol: 1e-3))
        let score = try InceptionScore.of(logits: rows("in.logits"), splits: want.inception_score.splits)
        comparison.compare(
            "inception_score", [score.mean, score.deviation], [want.inception_score.mean, want.inception_score.std])
        let subsets = zip(try rows("in.kid_subset_a"), try rows("in.kid_subset_b")).map { pair in
            (a: pair.0.map { Int($0) }, b: pair.1.map { Int($0) })
        }
        let kernel = try KernelDistance.between(a, b, subsets: subsets)
        comparison.compare("kid", [kernel.mean, kernel.deviation], [want.kid.mean, want.kid.std])
        comparison.compare("kid.per_subset", kernel.perSubset, want.kid.per_subset)
        let cosines = zip(try rows("in.cosine_u"), try rows("in.cosine_v")).map { cosineSimilarity($0, $1) }
        comparison.compare("out.cosine", cosines, try golden.tensors.doubles("out.cosine"))
    }
}
