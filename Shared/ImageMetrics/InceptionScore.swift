import Foundation

/// Inception score (Salimans et al. 2016): exp of the mean Kullback–Leibler divergence of p(y|x) from p(y).
public enum InceptionScore {
    /// What p(y) is.
    public enum Marginal: Sendable {
        /// The mean over the split's pictures: the usual definition.
        case perSplit
        /// Uniform over the classes, as the paper that Likeness follows says.
        case uniform
    }

    /// Mean and population standard deviation over the splits.
    ///
    /// Split i holds rows i·N/splits ..< (i+1)·N/splits. With fewer rows than splits there are as many splits as rows.
    ///
    /// - Parameter logits: one row of class logits for each picture
    public static func of(
        logits: [[Double]], splits: Int = 10, marginal: Marginal = .perSplit
    ) throws -> (mean: Double, deviation: Double) {
        let n = logits.count
        guard n > 0, let classes = logits.first?.count, classes > 0 else {
            throw MetricError("an inception score needs at least one picture")
        }
        let splits = min(max(splits, 1), n)
        let scores = (0..<splits).map { i -> Double in
            let rows = logits[i * n / splits..<(i + 1) * n / splits].map(softmax)
            let p: [Double] =
                switch marginal {
                case .perSplit: (0..<classes).map { j in rows.reduce(0) { $0 + $1[j] } / Double(rows.count) }
                case .uniform: Array(repeating: 1 / Double(classes), count: classes)
                }
            let divergences = rows.map { row in
                zip(row, p).reduce(0) { $0 + ($1.0 > 0 ? $1.0 * (log($1.0) - log($1.1)) : 0) }
            }
            return exp(divergences.reduce(0, +) / Double(rows.count))
        }
        let mean = scores.reduce(0, +) / Double(splits)
        let variance = scores.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(splits)
        return (mean, variance.squareRoot())
    }

    private static func softmax(_ logits: [Double]) -> [Double] {
        let top = logits.max() ?? 0
        let powers = logits.map { exp($0 - top) }
        let total = powers.reduce(0, +)
        return powers.map { $0 / total }
    }
}
