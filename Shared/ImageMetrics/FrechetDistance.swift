/// Mean and unbiased covariance (divided by N − 1) of feature vectors.
public struct FeatureStatistics: Sendable {
    /// [D]
    public let mean: [Double]
    /// [D, D], row-major.
    public let covariance: [Double]

    /// - Parameter features: N ≥ 2 vectors of equal length D
    public init(features: [[Double]]) throws {
        guard features.count >= 2, let dimension = features.first?.count, dimension > 0 else {
            throw MetricError("a covariance needs at least two pictures, there are \(features.count)")
        }
        guard features.allSatisfy({ $0.count == dimension }) else {
            throw MetricError("feature vectors differ in length")
        }
        let n = Double(features.count)
        let mean = (0..<dimension).map { j in features.reduce(0) { $0 + $1[j] } / n }
        let centred = Matrix(
            rows: features.count, columns: dimension, values: features.flatMap { row in zip(row, mean).map { $0 - $1 } }
        )
        self.mean = mean
        covariance = centred.times(centred, transposed: true).values.map { $0 / (n - 1) }
    }
}

/// Fréchet inception distance (Heusel et al. 2017): |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr √(Σ₁ Σ₂).
public enum FrechetDistance {
    /// The distance of two Gaussians.
    ///
    /// The trace of the root is taken as the sum of the roots of the eigenvalues of √Σ₁ Σ₂ √Σ₁, which is symmetric: it
    /// stays exact where there are fewer pictures than features and a general matrix root breaks down.
    public static func between(_ a: FeatureStatistics, _ b: FeatureStatistics) throws -> Double {
        let d = a.mean.count
        guard b.mean.count == d else { throw MetricError("features of \(d) and \(b.mean.count) numbers") }
        let distance = zip(a.mean, b.mean).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let traces = (0..<d).reduce(0) { $0 + a.covariance[$1 * d + $1] + b.covariance[$1 * d + $1] }

        let (values, vectors) = try Matrix(rows: d, columns: d, values: a.covariance).symmetricEigen()
        var scaled = vectors
        for i in 0..<d {
            let root = max(values[i], 0).squareRoot()
            for j in 0..<d { scaled[i, j] *= root }
        }
        let root = vectors.times(scaled, transposed: true)
        let inner = root.times(Matrix(rows: d, columns: d, values: b.covariance)).times(root)
        let trace = try inner.symmetricEigen().values.reduce(0) { $0 + max($1, 0).squareRoot() }
        return distance + traces - 2 * trace
    }
}
