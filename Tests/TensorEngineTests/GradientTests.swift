import TensorEngine
import Testing

/// Every operation's gradient against the difference quotient of its loss.
@Suite struct GradientTests {
    /// A loss that weighs every output differently, so that a permuted gradient cannot pass.
    private func loss(_ y: Tensor) -> Tensor { (y * random(y.shape, 99)).sum() }

    /// Compares d loss(f(inputs)) / d inputs[i] with (loss(x + h v) − loss(x − h v)) / 2h along random directions v.
    private func check(
        _ shapes: [[Int]], _ name: String = #function, step: Float = 1e-2, tolerance: Double = 5e-3,
        _ f: ([Tensor]) -> Tensor
    ) {
        let inputs = shapes.enumerated().map { random($1, $0 + 1) }
        let leaves = inputs.map { $0.requiringGradient() }
        let gradients = loss(f(leaves)).gradients()
        for (i, leaf) in leaves.enumerated() {
            guard let gradient = gradients[leaf] else {
                Issue.record("\(name): input \(i) has no gradient")
                continue
            }
            for direction in 0..<3 {
                let v = random(shapes[i], 1000 + 10 * i + direction)
                func moved(_ h: Float) -> Double {
                    var values = inputs
                    values[i] = inputs[i].blended(1, h, with: v)
                    return Double(loss(f(values)).scalars[0])
                }
                let quotient = (moved(step) - moved(-step)) / Double(2 * step)
                let product = zip(gradient.scalars, v.scalars).reduce(0) { $0 + Double($1.0) * Double($1.1) }
                let size = (gradient.sumOfSquares * v.sumOfSquares).squareRoot()
                #expect(
                    abs(quotient - product) <= tolerance * max(size, 1),
                    "\(name), input \(i): gradient says \(product), the difference \(quotient)")
            }
        }
    }

    @Test(arguments: [(1, 3, 5, 4, 6), (2, 7, 6, 16, 24), (3, 4, 4, 3, 8)])
    func convolution(n: Int, h: Int, w: Int, cin: Int, cout: Int) {
        for (kernel, stride, padding) in [(3, 1, 1), (3, 2, 1), (1, 1, 0)] {
            check([[n, h, w, cin], [cout, cin, kernel, kernel], [cout]]) { x in
                x[0].convolved(
                    ConvolutionFilter(weight: x[1], bias: x[2], stride: stride, padding: .init(padding)))
            }
        }
    }

    @Test func convolutionThatPadsOneSide() {
        let padding = ConvolutionFilter.Padding(top: 0, left: 0, bottom: 1, right: 1)
        check([[2, 6, 8, 5], [7, 5, 3, 3], [7]]) { x in
            x[0].convolved(ConvolutionFilter(weight: x[1], bias: x[2], stride: 2, padding: padding))
        }
    }

    @Test func frozenConvolution() {
        let filter = ConvolutionFilter(weight: random([8, 4, 3, 3], 50), bias: random([8], 51), padding: .init(1))
        check([[2, 5, 5, 4]]) { $0[0].convolved(filter) }
        // Large enough for Winograd's kernel, with what it adds.
        let wide = ConvolutionFilter(weight: random([18, 17, 3, 3], 50), bias: random([18], 51), padding: .init(1))
        check([[2, 9, 8, 17], [2, 18], [2, 9, 8, 18]]) { $0[0].convolved(wide, perPicture: $0[1], residual: $0[2]) }
    }

    @Test func linear() {
        check([[2, 5, 7], [9, 7], [9]]) { $0[0].linear($0[1], bias: $0[2]) }
        for activation in [Activation.silu, .gelu, .quickGelu] {
            check([[3, 6], [5, 6], [5]]) { $0[0].linear($0[1], bias: $0[2], activation: activation) }
            check([[3, 6], [5, 6], [3, 5]]) { $0[0].linear($0[1], activation: activation, residual: $0[2]) }
        }
        check([[3, 6], [5, 6], [3, 5]]) { $0[0].linear($0[1], residual: $0[2]) }
        check([[2, 4, 6], [10, 6], [10]]) { $0[0].gatedLinear($0[1], bias: $0[2]) }
    }

    @Test(arguments: [(1, 5, 5, 8, 2), (2, 100, 77, 48, 4), (1, 130, 50, 40, 1)])
    func attention(n: Int, queries: Int, keys: Int, d: Int, heads: Int) {
        check([[n, queries, d], [n, keys, d], [n, keys, d]]) {
            $0[0].attention(keys: $0[1], values: $0[2], heads: heads)
        }
    }

    @Test func causalAttention() {
        check([[2, 101, 16], [2, 101, 16], [2, 101, 16]]) {
            $0[0].attention(keys: $0[1], values: $0[2], heads: 2, causal: true)
        }
    }

    @Test func decoupledAttention() {
        check([[2, 20, 24], [2, 7, 24], [2, 7, 24], [2, 4, 24], [2, 4, 24]]) {
            $0[0].decoupledAttention(
                keys: $0[1], values: $0[2], imageKeys: $0[3], imageValues: $0[4], scale: 0.7, heads: 3)
        }
    }

    @Test(arguments: [true, false]) func groupNorm(silu: Bool) {
        check([[2, 5, 3, 24], [24], [24]]) {
            $0[0].groupNormalized(.init(groups: 4, weight: $0[1], bias: $0[2], eps: 1e-5, silu: silu))
        }
        check([[1, 13, 11, 16], [16], [16]]) {
            $0[0].groupNormalized(.init(groups: 8, weight: $0[1], bias: $0[2], eps: 1e-5, silu: silu))
        }
    }

    @Test func layerNorm() {
        check([[3, 70, 20], [20], [20]]) { $0[0].layerNormalized(weight: $0[1], bias: $0[2], eps: 1e-5) }
    }

    @Test func elementwise() {
        for activation in [Activation.silu, .gelu, .quickGelu] { check([[3, 37]]) { $0[0].activated(activation) } }
        check([[3, 7]]) { $0[0].scaled(by: -2, plus: 1) }
        check([[3, 7], [3, 7]]) { $0[0].blended(0.3, -2, with: $0[1]) }
        check([[3, 7], [3, 7]]) { $0[0] * $0[1] }
        check([[3, 7]]) { $0[0] * $0[0] }
        check([[3, 7]]) { $0[0].exponential() }
        check([[3, 22]]) { $0[0].geglu() }
        check([[3, 70]]) { $0[0].geglu() }
        check([[4, 9]]) { $0[0].softmax() }
        check([[4, 9]]) { $0[0].normalizedRows() }
        check([[2, 3, 4, 5], [2, 5]]) { $0[0].addingPerChannel($0[1]) }
        check([[2, 3, 5], [3, 5]]) { $0[0].addingRows($0[1]) }
    }

    @Test func layout() {
        check([[2, 3, 4, 5]]) { $0[0].channelsFirst() }
        check([[2, 5, 3, 4]]) { $0[0].channelsLast() }
        check([[2, 3, 4], [2, 3, 2]]) { .concatenated($0[0], $0[1]) }
        check([[2, 3], [1, 3], [3, 3]]) { .stacked([$0[0], $0[1], $0[2]]) }
        check([[1, 3, 2, 4]]) { $0[0].upsampledNearest(height: 6, width: 4) }
        check([[1, 3, 2, 4]]) { $0[0].upsampledNearest(height: 5, width: 3) }
        check([[5, 3]]) { $0[0].gathered([4, 0, 4, 2]) }
        check([[5, 6]]) { $0[0].columns(1..<4) }
        check([[5, 6]]) { $0[0][1..<4] }
        check([[5, 6]]) { $0[0].reshaped([3, 10]) }
        check([[5, 6]]) { $0[0].transposed() }
        check([[2, 5, 6]], step: 1e-3) { $0[0].maximumOverTokens() }
        check([[2, 5, 6]]) { $0[0].meanOverTokens() }
    }

    @Test func crossEntropy() {
        check([[4, 7]]) { $0[0].crossEntropy([0, 6, 3, 3]) }
    }

    /// A value that is used twice gets both shares; a constant none.
    @Test func sharesAddUp() {
        let x = Tensor([1, 2, 3], shape: [3]).requiringGradient()
        let y = x + x.scaled(by: 3) + Tensor([5, 5, 5], shape: [3])
        #expect(y.sum().gradients()[x]?.scalars == [4, 4, 4])
        #expect((x.detached() * x).sum().gradients()[x]?.scalars == [1, 2, 3])
    }

    @Test func withoutParametersNothingIsRecorded() {
        let x = random([2, 3], 1)
        #expect(!x.linear(random([4, 3], 2)).requiresGradient)
    }

    /// Gradient checkpointing changes memory, not gradients; tensors that the body captures get theirs too.
    @Test func checkpointingGivesTheSameGradients() {
        let (x, w, c) = (random([4, 6], 1), random([6, 6], 2), random([4, 6], 3))
        func run(_ checkpointed: Bool) -> [[Float]] {
            let (x, w, c) = (x.requiringGradient(), w.requiringGradient(), c.requiringGradient())
            let outside = c.scaled(by: 2)
            let body: @Sendable ([Tensor]) -> Tensor = { inputs in
                (inputs[0].linear(w, activation: .silu) * outside).linear(w)
            }
            let y = checkpointed ? Tensor.checkpointed([x], body) : body([x])
            let gradients = loss(y.activated(.silu)).gradients()
            return [x, w, c].map { gradients[$0]?.scalars ?? [] }
        }
        let (plain, again) = (run(false), run(true))
        #expect(plain.allSatisfy { !$0.isEmpty })
        // Not to the bit: the pass that is not recorded has its activation fused into oneDNN's product.
        for (a, b) in zip(plain.joined(), again.joined()) { #expect(abs(a - b) <= 1e-5 * max(abs(a), 1)) }
    }

    private func random(_ shape: [Int], _ seed: Int) -> Tensor {
        Tensor(Philox(seed: UInt64(seed)).normal(shape.reduce(1, *)), shape: shape)
    }
}
