internal import COpenBLAS

/// A dense matrix of doubles in row-major order, on OpenBLAS and LAPACK: the one file that calls them.
struct Matrix {
    let rows: Int
    let columns: Int
    var values: [Double]

    subscript(row: Int, column: Int) -> Double {
        get { values[row * columns + column] }
        set { values[row * columns + column] = newValue }
    }

    /// self · other, either of them transposed on request.
    func times(_ other: Matrix, transposed: Bool = false, otherTransposed: Bool = false) -> Matrix {
        let (m, k) = transposed ? (columns, rows) : (rows, columns)
        let n = otherTransposed ? other.rows : other.columns
        precondition(k == (otherTransposed ? other.columns : other.rows), "matrices do not fit")
        var result = Matrix(rows: m, columns: n, values: Array(repeating: 0, count: m * n))
        cblas_dgemm(
            CblasRowMajor, transposed ? CblasTrans : CblasNoTrans, otherTransposed ? CblasTrans : CblasNoTrans,
            Int32(m), Int32(n), Int32(k), 1, values, Int32(columns), other.values, Int32(other.columns), 0,
            &result.values, Int32(n))
        return result
    }

    /// Eigenvalues, ascending, and eigenvectors as rows, of a symmetric matrix.
    func symmetricEigen() throws -> (values: [Double], vectors: Matrix) {
        precondition(rows == columns, "only square matrices have eigenvalues")
        var (vectors, eigenvalues) = (values, [Double](repeating: 0, count: rows))
        var (n, info, query) = (Int32(rows), Int32(0), Int32(-1))
        var (work, integerWork) = ([0.0], [Int32(0)])
        dsyevd_("V", "U", &n, &vectors, &n, &eigenvalues, &work, &query, &integerWork, &query, &info)
        var (size, integerSize) = (Int32(work[0]), integerWork[0])
        work = Array(repeating: 0, count: Int(size))
        integerWork = Array(repeating: 0, count: Int(integerSize))
        dsyevd_("V", "U", &n, &vectors, &n, &eigenvalues, &work, &size, &integerWork, &integerSize, &info)
        guard info == 0 else { throw MetricError("the eigenvalues of a covariance did not converge") }
        // LAPACK's columns are our rows.
        return (eigenvalues, Matrix(rows: rows, columns: columns, values: vectors))
    }
}

/// Why a score cannot be had.
public struct MetricError: Error, CustomStringConvertible, Sendable {
    /// In words.
    public let description: String

    init(_ description: String) { self.description = description }
}
