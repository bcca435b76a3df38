internal import Checkpoint
internal import TensorEngine

/// abs(got − want) ≤ atol + rtol · abs(want), elementwise.
struct Tolerance {
    var atol: Double
    var rtol: Double
}

/// Collects comparisons of one case and remembers the worst.
struct Comparison {
    /// The element that came nearest to its tolerance, or passed it furthest.
    struct Worst {
        var tensor: String
        var error: Double
        var allowed: Double
        var ratio: Double { error == 0 ? 0 : error / allowed }
    }

    let tolerance: Tolerance
    private(set) var worst: Worst?
    /// Things that are wrong in another way than a number out of tolerance.
    private(set) var failures: [String] = []
    private(set) var compared = 0

    init(_ tolerance: Tolerance) { self.tolerance = tolerance }

    mutating func fail(_ what: String) { failures.append(what) }

    /// Compares a tensor of the case, in the case's own layout.
    mutating func compare(_ name: String, of golden: GoldenCase, _ got: Tensor, _ special: Tolerance? = nil) throws {
        let want = try golden.tensors.doubles(name)
        guard golden.tensors.shape(of: name)?.isSameButForOnes(as: got.shape) == true else {
            return fail("\(name): shape \(got.shape), wanted \(golden.tensors.shape(of: name) ?? [])")
        }
        compare(name, got.scalars.map(Double.init), want, special)
    }

    /// Compares numbers.
    mutating func compare(_ name: String, _ got: [Double], _ want: [Double], _ special: Tolerance? = nil) {
        guard got.count == want.count else {
            return fail("\(name): \(got.count) numbers, wanted \(want.count)")
        }
        compared += 1
        let rule = special ?? tolerance
        for (g, w) in zip(got, want) {
            let error = abs(g - w)
            let allowed = rule.atol + rule.rtol * abs(w)
            guard error.isFinite else { return fail("\(name): \(g), wanted \(w)") }
            let ratio = error == 0 ? 0 : error / allowed
            if worst == nil || ratio > (worst?.ratio ?? 0) {
                worst = Worst(tensor: name, error: error, allowed: allowed)
            }
        }
    }

    var passed: Bool { failures.isEmpty && (worst?.ratio ?? 0) <= 1 && compared > 0 }
}
