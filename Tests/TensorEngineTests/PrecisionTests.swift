import TensorEngine
import Testing

/// Products of numbers rounded to bfloat16. On a machine without them the same must come out as without rounding.
@Suite struct PrecisionTests {
    @Test(arguments: [(1, 2, 1), (5, 6, 17), (13, 40, 16), (97, 322, 33), (200, 1282, 350)])
    func linearLayersMultiplyRoundedNumbers(rows: Int, inputs: Int, outputs: Int) {
        let (x, weight, bias) = (random([rows, inputs], 1), random([outputs, inputs], 2), random([outputs], 3))
        let residual = random([rows, outputs], 4)
        let got = Precision.with(.bf16) { x.linear(weight, bias: bias, activation: .silu, residual: residual) }
        let want = rounded(x).linear(rounded(weight), bias: bias, activation: .silu, residual: residual)
        #expect(error(got, want) < 1e-5)
        let gated = Precision.with(.bf16) { x.gatedLinear(outputs % 2 == 0 ? weight : .stacked([weight, weight])) }
        let wantGated = rounded(x).gatedLinear(rounded(outputs % 2 == 0 ? weight : .stacked([weight, weight])))
        #expect(error(gated, wantGated) < 1e-5)
    }

    /// Eleven panels of outputs to a piece: the twelfth of its last pair is another piece's, whichever is written last.
    @Test func piecesWriteTheirOwnOutputsOnly() {
        let (x, weight) = (random([200, 1280], 1), random([352, 1280], 2))
        let want = rounded(x).linear(rounded(weight))
        for _ in 0..<60 {
            let got = Precision.with(.bf16) { x.linear(weight) }
            guard error(got, want) < 1e-5 else {
                Issue.record("off by \(error(got, want))")
                return
            }
        }
    }

    @Test func anOddDepthIsNotRounded() {
        let (x, weight) = (random([9, 33], 1), random([20, 33], 2))
        #expect(Precision.with(.bf16) { x.linear(weight) }.scalars == x.linear(weight).scalars)
    }

    @Test(arguments: [(1, 70, 70, 40, false), (2, 200, 77, 80, false), (1, 130, 130, 160, true), (2, 5, 9, 12, false)])
    func attentionIsNearlyThatWithoutRounding(n: Int, queries: Int, keys: Int, d: Int, causal: Bool) {
        let (q, k, v) = (random([n, queries, 2 * d], 1), random([n, keys, 2 * d], 2), random([n, keys, 2 * d], 3))
        let exact = q.attention(keys: k, values: v, heads: 2, causal: causal)
        expectRounded(Precision.with(.bf16) { q.attention(keys: k, values: v, heads: 2, causal: causal) }, exact, 0.01)
    }

    /// Several blocks of queries and of keys; scores that the weights' range holds as they are, such as need their greatest
    /// taken away first, and such that are all far below 0.
    @Test(arguments: [(0, 1, false), (0, 1, true), (0, 6, false), (0, 6, true), (-20, 3, false)])
    func attentionOfRoundedNumbersTakesAnyScores(mean: Float, spread: Float, causal: Bool) {
        let (q, k, v) = (random([1, 300, 48], 1), random([1, 300, 48], 2), random([1, 300, 48], 3))
        let queries = rounded(q.scaled(by: spread, plus: mean)), keys = rounded(k.scaled(by: spread, plus: -mean))
        let values = rounded(v)
        let exact = queries.attention(keys: keys, values: values, heads: 1, causal: causal)
        let got = Precision.with(.bf16) { queries.attention(keys: keys, values: values, heads: 1, causal: causal) }
        #expect(error(got, exact) < 0.004)
    }

    /// Few tiles, and so many that each goes through all filters by itself; channels that fill no vector.
    @Test(arguments: [(2, 8, 8, 16, 16), (1, 13, 19, 34, 40), (1, 64, 64, 32, 24), (2, 56, 61, 48, 70)])
    func convolutionsAreNearlyThoseWithoutRounding(n: Int, h: Int, w: Int, cin: Int, cout: Int) {
        let weight = random([cout, cin, 3, 3], 2).scaled(by: 1 / Float(9 * cin).squareRoot())
        let filter = ConvolutionFilter(weight: weight, bias: random([cout], 3), padding: .init(1))
        let (x, residual) = (random([n, h, w, cin], 1), random([n, h, w, cout], 4))
        let exact = x.convolved(filter, perPicture: random([n, cout], 5), residual: residual)
        expectRounded(
            Precision.with(.bf16) { x.convolved(filter, perPicture: random([n, cout], 5), residual: residual) }, exact,
            0.005
        )
    }

    /// What only products read is rounded by its writer: they then see what they would have rounded to, number by number.
    @Test func productsReadNumbersThatWereRoundedForThemAsTheirOwn() {
        let (x, weight) = (random([3, 50, 48], 1), random([64, 48], 2).scaled(by: 0.2))
        let (scale, shift) = (random([48], 3), random([48], 4))
        Precision.with(.bf16) {
            let plain = x.layerNormalized(weight: scale, bias: shift, eps: 1e-5)
            let normal = x.layerNormalized(weight: scale, bias: shift, eps: 1e-5, for: .product)
            #expect(normal.scalars == rounded(plain).scalars)
            #expect(normal.linear(weight).scalars == plain.linear(weight).scalars)
            #expect(normal.gatedLinear(weight).scalars == plain.gatedLinear(weight).scalars)

            let (q, k, v) = (x.linear(weight), plain.linear(weight), x.linear(weight.scaled(by: 2)))
            let attended = q.attention(keys: k, values: v, heads: 2)
            let (q2, k2) = (x.linear(weight, for: .product), normal.linear(weight, for: .product))
            let v2 = x.linear(weight.scaled(by: 2), for: .product)
            #expect(q2.attention(keys: k2, values: v2, heads: 2).scalars == attended.scalars)
            let shortened = q2.attention(keys: k2, values: v2, heads: 2, for: .product)
            #expect(shortened.scalars == rounded(attended).scalars)
        }
    }

    /// What stands around a convolution, done as it reads and writes, against the same one after the other without rounding:
    /// pictures of one piece and of many blocks, wide ones, channels that fill no vector, both strides.
    @Test(arguments: [
        (2, 9, 7, 16, 24, 1), (2, 16, 16, 48, 40, 1), (1, 70, 70, 32, 16, 1), (1, 20, 150, 512, 16, 1),
        (2, 9, 12, 34, 20, 2), (1, 66, 70, 48, 136, 2), (1, 12, 12, 24, 3, 1), (3, 40, 40, 72, 18, 1),
    ])
    func convolutionsNormaliseBeforeAndTakeSumsAfter(n: Int, h: Int, w: Int, cin: Int, cout: Int, stride: Int) {
        let weight = random([cout, cin, 3, 3], 2).scaled(by: 1 / Float(9 * cin).squareRoot())
        let filter = ConvolutionFilter(weight: weight, bias: random([cout], 3), stride: stride, padding: .init(1))
        let before = GroupNormalization(
            groups: 2, weight: random([cin], 4), bias: random([cin], 5), eps: 1e-5, silu: cin % 3 == 0)
        let after = GroupNormalization(
            groups: 1, weight: random([cout], 6), bias: random([cout], 7), eps: 1e-5, silu: false)
        let x = random([n, h, w, cin], 1).scaled(by: 2, plus: 1)
        let (oh, ow) = ((h - 1) / stride + 1, (w - 1) / stride + 1)
        let (perPicture, residual) = (random([n, cout], 8), random([n, oh, ow, cout], 9))
        let exact = x.groupNormalized(before).convolved(filter, perPicture: perPicture, residual: residual)
        Precision.with(.bf16) {
            let y = x.convolved(filter, after: before, perPicture: perPicture, residual: residual)
            #expect(error(y, exact) < 0.005)
            if Reader.convolution.takesRounded { #expect(error(y, exact) > 1e-4) }
            // The same numbers without the sums that came with them.
            let plain = Tensor(y.scalars, shape: y.shape)
            #expect(error(y.groupNormalized(after), plain.groupNormalized(after)) < 1e-6)
            let joined = Tensor.concatenated(y, y), wide = Tensor.concatenated(plain, plain)
            let both = GroupNormalization(
                groups: 2, weight: random([2 * cout], 6), bias: random([2 * cout], 7), eps: 1e-5)
            #expect(error(joined.groupNormalized(both), wide.groupNormalized(both)) < 1e-6)
            // A picture's bits do not depend on the batch it is in.
            let first = x[0..<1].convolved(
                filter, after: before, perPicture: perPicture[0..<1], residual: residual[0..<1])
            #expect(first.scalars == y[0..<1].scalars)
            #expect(first.groupNormalized(after).scalars == y.groupNormalized(after)[0..<1].scalars)
        }
    }

    /// Few pixels, and so many that the filters of the four phases are made.
    @Test(arguments: [
        (2, 3, 4, 16, 24), (2, 15, 17, 40, 18), (1, 16, 16, 34, 150), (3, 21, 37, 64, 32), (1, 40, 90, 160, 16),
    ])
    func convolutionsUpsampleAsTheyRead(n: Int, h: Int, w: Int, cin: Int, cout: Int) {
        let weight = random([cout, cin, 3, 3], 2).scaled(by: 1 / Float(9 * cin).squareRoot())
        let filter = ConvolutionFilter(weight: weight, bias: random([cout], 3), padding: .init(1))
        let (x, perPicture) = (random([n, h, w, cin], 1), random([n, cout], 4))
        let residual = random([n, 2 * h, 2 * w, cout], 5)
        let exact = x.upsampledNearest(height: 2 * h, width: 2 * w)
            .convolved(filter, perPicture: perPicture, residual: residual)
        Precision.with(.bf16) {
            let y = x.convolved(filter, upsampled: true, perPicture: perPicture, residual: residual)
            expectRounded(y, exact, 0.005)
            let norm = GroupNormalization(groups: 2, weight: random([cout], 6), bias: random([cout], 7), eps: 1e-5)
            let plain = Tensor(y.scalars, shape: y.shape)
            #expect(error(y.groupNormalized(norm), plain.groupNormalized(norm)) < 1e-6)
            let last = x[n - 1..<n].convolved(
                filter, upsampled: true, perPicture: perPicture[n - 1..<n], residual: residual[n - 1..<n])
            #expect(last.scalars == y[n - 1..<n].scalars)
        }
        #expect(
            x.convolved(filter, upsampled: true, perPicture: perPicture, residual: residual).scalars == exact.scalars)
    }

    /// A result that caches do not keep is rounded for the convolution that reads it.
    @Test func largeResultsAreRoundedForConvolutions() {
        let x = random([1, 256, 258, 16], 1)
        func filter(_ cin: Int, _ cout: Int) -> ConvolutionFilter {
            let weight = random([cout, cin, 3, 3], 2).scaled(by: 1 / Float(9 * cin).squareRoot())
            return ConvolutionFilter(weight: weight, bias: random([cout], 3), padding: .init(1))
        }
        let norm = GroupNormalization(
            groups: 4, weight: random([128], 4), bias: random([128], 5), eps: 1e-5, silu: true)
        Precision.with(.bf16) {
            let plain = x.convolved(filter(16, 128)), short = x.convolved(filter(16, 128), for: .convolution)
            #expect(short.scalars == (Reader.convolution.takesRounded ? rounded(plain) : plain).scalars)
            let wanted = plain.convolved(filter(128, 16), after: norm)
            #expect(error(short.convolved(filter(128, 16), after: norm), wanted) < 0.003)
        }
    }

    /// Activations of numbers that are rounded at once are computed less exactly than rounding shows.
    @Test(arguments: [Activation.silu, .gelu, .quickGelu, .relu])
    func activationsThatAreRoundedAreAsNearAsRoundingLetsThem(activation: Activation) {
        let (x, weight) = (random([40, 64], 1), random([96, 64], 2).scaled(by: 0.4))
        Precision.with(.bf16) {
            let exact = x.linear(weight, activation: activation)
            let got = x.linear(weight, activation: activation, for: .product)
            for (got, exact) in zip(got.scalars, exact.scalars) {
                #expect(abs(got - exact) <= 0.005 * abs(exact) + 1e-6)
            }
            let gated = zip(x.gatedLinear(weight, for: .product).scalars, x.gatedLinear(weight).scalars)
            for (got, exact) in gated { #expect(abs(got - exact) <= 0.005 * abs(exact) + 1e-6) }
        }
        // SiLU after GroupNorm, far out too.
        let wide = random([1, 30, 30, 16], 3).scaled(by: 200)
        func normal(for reader: Reader) -> [Float] {
            let ones = Tensor(repeating: 40, shape: [16])
            return Precision.with(.bf16) {
                wide.groupNormalized(.init(groups: 4, weight: ones, bias: ones, eps: 1e-5, silu: true), for: reader)
                    .scalars
            }
        }
        for (got, exact) in zip(normal(for: .product), normal(for: .any)) {
            #expect(abs(got - exact) <= 0.005 * abs(exact) + 1e-6)
        }
    }

    private func expectRounded(_ got: Tensor, _ exact: Tensor, _ most: Double) {
        guard Precision.hasBF16 else {
            #expect(got.scalars == exact.scalars)
            return
        }
        // Some rounding there must be, or the flag did not reach the kernel.
        #expect(error(got, exact) > 1e-4)
        #expect(error(got, exact) < most)
    }

    private func random(_ shape: [Int], _ seed: UInt64) -> Tensor {
        Tensor(Philox(seed: seed).normal(shape.reduce(1, *)), shape: shape)
    }

    /// To the nearest number of eight significant bits, ties to even; where the machine rounds at all.
    private func rounded(_ x: Tensor) -> Tensor {
        guard Precision.hasBF16 else { return x }
        return Tensor(
            x.scalars.map { number in
                let bits = number.bitPattern
                return Float(bitPattern: (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
            }, shape: x.shape)
    }

    /// Root of the mean square of the difference, by that of what is wanted.
    private func error(_ got: Tensor, _ want: Tensor) -> Double {
        var (difference, size) = (0.0, 0.0)
        for (x, y) in zip(got.scalars, want.scalars) {
            difference += Double(x - y) * Double(x - y)
            size += Double(y) * Double(y)
        }
        return (difference / size).squareRoot()
    }
}
