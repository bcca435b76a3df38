internal import Checkpoint
internal import TensorEngine

/// abs(got − want) ≤ atol + rtol · abs(want), elementwise.
struct Tolerance {
    var atol: Double
    var rtol: Double
}

/// Collects comparisons of one case and remembers the worst.
struct Comparison {
    /// What rounding to bfloat16 before products may change of a tensor: relative root of the mean square. For scale: under
    /// PyTorch's own bf16 (autocast) the golden UNet's middle block is 2.8 % and 3.7 % off, its output 2.3 %.
    static let roundedTolerance = 0.04

    /// The element that came nearest to its tolerance, or passed it furthest.
    struct Worst {
        var tensor: String
        var error: Double
        var allowed: Double
        var ratio: Double { error == 0 ? 0 : error / allowed }
    }

    let tolerance: Tolerance
    /// Tensors are compared as a whole, by `roundedTolerance`.
    let rounded: Bool
    private(set) var worst: Worst?
    /// Things that are wrong in another way than a number out of tolerance.
    private(set) var failures: [String] = []
    private(set) var compared = 0

    init(_ tolerance: Tolerance, rounded: Bool = false) { (self.tolerance, self.rounded) = (tolerance, rounded) }

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
        if rounded { return compareRounded(name, got, want) }
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

    private mutating func compareRounded(_ name: String, _ got: [Double], _ want: [Double]) {
        let size = want.reduce(0) { $0 + $1 * $1 }.squareRoot()
        let error = zip(got, want).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        guard error.isFinite else { return fail("\(name): holds numbers that are not finite") }
        let relative = error == 0 ? 0 : error / max(size, .leastNormalMagnitude)
        if worst == nil || relative / Self.roundedTolerance > (worst?.ratio ?? 0) {
            worst = Worst(tensor: name, error: relative, allowed: Self.roundedTolerance)
        }
    }

    var passed: Bool { failures.isEmpty && (worst?.ratio ?? 0) <= 1 && compared > 0 }
}
