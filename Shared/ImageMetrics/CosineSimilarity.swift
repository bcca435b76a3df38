/// u·v / (|u| |v|); 0 where either is zero.
public func cosineSimilarity(_ u: [Double], _ v: [Double]) -> Double {
    precondition(u.count == v.count, "vectors of \(u.count) and \(v.count) numbers")
    let dot = zip(u, v).reduce(0) { $0 + $1.0 * $1.1 }
    let lengths = u.reduce(0) { $0 + $1 * $1 }.squareRoot() * v.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return lengths > 0 ? dot / lengths : 0
}
