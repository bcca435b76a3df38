/// Kernel inception distance (Bińkowski et al. 2018): the unbiased squared MMD with kernel (x·y / D + 1)³.
public enum KernelDistance {
    /// Mean and population standard deviation over subsets of equal size.
    ///
    /// - Parameters:
    ///   - subsets: for each subset, indices into `a` and into `b`
    public static func between(
        _ a: [[Double]], _ b: [[Double]], subsets: [(a: [Int], b: [Int])]
    ) throws -> (mean: Double, deviation: Double, perSubset: [Double]) {
        guard !subsets.isEmpty, subsets.allSatisfy({ $0.a.count == $0.b.count && $0.a.count >= 2 }) else {
            throw MetricError("KID needs subsets of at least two pictures of each kind")
        }
        let values = subsets.map { subset in
            discrepancy(subset.a.map { a[$0] }, subset.b.map { b[$0] })
        }
        let mean = values.reduce(0, +) / Double(values.count)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
        return (mean, variance.squareRoot(), values)
    }

    private static func discrepancy(_ x: [[Double]], _ y: [[Double]]) -> Double {
        let (m, d) = (x.count, x[0].count)
        func kernel(_ u: [[Double]], _ v: [[Double]]) -> Matrix {
            var k = Matrix(rows: m, columns: d, values: u.flatMap { $0 })
                .times(Matrix(rows: m, columns: d, values: v.flatMap { $0 }), otherTransposed: true)
            for i in k.values.indices {
                let base = k.values[i] / Double(d) + 1
                k.values[i] = base * base * base
            }
            return k
        }
        func offDiagonal(_ k: Matrix) -> Double {
            k.values.reduce(0, +) - (0..<m).reduce(0) { $0 + k[$1, $1] }
        }
        let pairs = Double(m * (m - 1))
        let cross = kernel(x, y).values.reduce(0, +) / Double(m * m)
        return (offDiagonal(kernel(x, x)) + offDiagonal(kernel(y, y))) / pairs - 2 * cross
    }
}
