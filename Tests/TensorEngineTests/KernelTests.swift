import Foundation
import TensorEngine
import Testing

/// Every kernel against the loop that its equation says, on odd sizes.
@Suite struct KernelTests {
    @Test(arguments: [(1, 5, 7, 3, 4), (2, 8, 8, 16, 24), (1, 9, 4, 4, 33)])
    func convolution(n: Int, h: Int, w: Int, cin: Int, cout: Int) {
        for (kernel, stride, padding) in [(3, 1, 1), (3, 2, 1), (1, 1, 0)] {
            let x = random([n, h, w, cin], 1)
            let weight = random([cout, cin, kernel, kernel], 2)
            let bias = random([cout], 3)
            let filter = ConvolutionFilter(weight: weight, bias: bias, stride: stride, padding: .init(padding))
            let y = x.convolved(filter)
            let (oh, ow) = (y.shape[1], y.shape[2])
            let (xs, ws, bs) = (x.scalars, weight.scalars, bias.scalars)
            var want: [Float] = []
            for i in 0..<n {
                for oy in 0..<oh {
                    for ox in 0..<ow {
                        for o in 0..<cout {
                            var sum = Double(bs[o])
                            for c in 0..<cin {
                                for ky in 0..<kernel {
                                    for kx in 0..<kernel {
                                        let (iy, ix) = (oy * stride + ky - padding, ox * stride + kx - padding)
                                        guard iy >= 0, iy < h, ix >= 0, ix < w else { continue }
                                        sum +=
                                            Double(xs[((i * h + iy) * w + ix) * cin + c])
                                            * Double(ws[((o * cin + c) * kernel + ky) * kernel + kx])
                                    }
                                }
                            }
                            want.append(Float(sum))
                        }
                    }
                }
            }
            expectClose(y.scalars, want, 1e-4)
        }
    }

    /// Sizes that Winograd's kernel takes: whole and cut tiles, channels that fill no vector, several blocks of channels
    /// and stretches of depth; with everything that it adds to its result.
    @Test(arguments: [
        (2, 8, 8, 16, 16, 1), (1, 13, 18, 50, 40, 1), (2, 9, 11, 33, 100, 1), (1, 12, 16, 300, 176, 1),
        (1, 11, 17, 17, 19, 0), (3, 15, 8, 20, 31, 2),
    ])
    func winograd(n: Int, h: Int, w: Int, cin: Int, cout: Int, padding: Int) {
        let x = random([n, h, w, cin], 1)
        let weight = random([cout, cin, 3, 3], 2).scaled(by: 1 / Float(9 * cin).squareRoot())
        let bias = random([cout], 3)
        let perPicture = random([n, cout], 4)
        let (oh, ow) = (h + 2 * padding - 2, w + 2 * padding - 2)
        let residual = random([n, oh, ow, cout], 5)
        let filter = ConvolutionFilter(weight: weight, bias: bias, padding: .init(padding))
        let (xs, ws) = (x.scalars, weight.scalars)
        var plain: [Float] = []
        for i in 0..<n {
            for pixel in 0..<oh * ow {
                for o in 0..<cout {
                    var sum = 0.0
                    for tap in 0..<9 {
                        let (iy, ix) = (pixel / ow + tap / 3 - padding, pixel % ow + tap % 3 - padding)
                        guard iy >= 0, iy < h, ix >= 0, ix < w else { continue }
                        for c in 0..<cin {
                            sum += Double(xs[((i * h + iy) * w + ix) * cin + c]) * Double(ws[(o * cin + c) * 9 + tap])
                        }
                    }
                    plain.append(Float(sum))
                }
            }
        }
        let convolution = Tensor(plain, shape: [n, oh, ow, cout])
        let withBias = convolution.addingPerChannel(.stacked(Array(repeating: bias.reshaped([1, cout]), count: n)))
        expectClose(x.convolved(filter).scalars, withBias.scalars, 2e-5)
        expectClose(
            x.convolved(filter, perPicture: perPicture, residual: residual).scalars,
            (withBias.addingPerChannel(perPicture) + residual).scalars, 2e-5)
        let bare = ConvolutionFilter(weight: weight, bias: nil, padding: .init(padding))
        expectClose(x.convolved(bare).scalars, plain, 2e-5)
        // A picture's bits do not depend on the batch it is in.
        #expect(x[0..<1].convolved(filter).scalars == x.convolved(filter)[0..<1].scalars)
    }

    @Test func convolutionAddsTheSameWhicheverWayItIsComputed() {
        // Too small for Winograd's kernel, and of stride 2.
        for (side, stride) in [(3, 1), (8, 2)] {
            let x = random([2, side, side, 16], 1)
            let filter = ConvolutionFilter(
                weight: random([16, 16, 3, 3], 2), bias: random([16], 3), stride: stride, padding: .init(1))
            let (perPicture, plain) = (random([2, 16], 4), x.convolved(filter))
            let residual = random(plain.shape, 5)
            expectClose(
                x.convolved(filter, perPicture: perPicture, residual: residual).scalars,
                (plain.addingPerChannel(perPicture) + residual).scalars, 1e-6)
        }
    }

    @Test func convolutionMayPadOneSideOnly() {
        let x = random([1, 4, 4, 2], 1)
        let weight = random([3, 2, 3, 3], 2)
        let padding = ConvolutionFilter.Padding(top: 0, left: 0, bottom: 1, right: 1)
        let y = x.convolved(ConvolutionFilter(weight: weight, bias: nil, stride: 2, padding: padding))
        #expect(y.shape == [1, 2, 2, 3])
        // The same as padding the picture by hand.
        var wide = [Float](repeating: 0, count: 5 * 5 * 2)
        for row in 0..<4 { for column in 0..<8 { wide[row * 10 + column] = x.scalars[row * 8 + column] } }
        let by = Tensor(wide, shape: [1, 5, 5, 2])
            .convolved(ConvolutionFilter(weight: weight, bias: nil, stride: 2, padding: .init(0)))
        expectClose(y.scalars, by.scalars, 1e-5)
    }

    @Test(arguments: [(1, 1, 1), (7, 5, 3), (33, 64, 17)])
    func linear(rows: Int, inputs: Int, outputs: Int) {
        let (x, w, b) = (random([rows, inputs], 1), random([outputs, inputs], 2), random([outputs], 3))
        let (xs, ws, bs) = (x.scalars, w.scalars, b.scalars)
        let plain = (0..<rows * outputs).map { i -> Double in
            let (r, o) = (i / outputs, i % outputs)
            return (0..<inputs).reduce(Double(bs[o])) { $0 + Double(xs[r * inputs + $1]) * Double(ws[o * inputs + $1]) }
        }
        expectClose(x.linear(w, bias: b).scalars, plain.map { Float($0) }, 1e-5)
        for (activation, function) in activations {
            expectClose(x.linear(w, bias: b, activation: activation).scalars, plain.map { Float(function($0)) }, 2e-5)
        }
    }

    /// Rows and outputs that fill no tile, several pieces of both, and depths of one step and of several.
    @Test(arguments: [(5, 8, 2), (97, 50, 34), (13, 400, 700), (1030, 17, 38), (2, 1161, 320)])
    func linearAddsAndGates(rows: Int, inputs: Int, outputs: Int) {
        let x = random([1, rows, inputs], 1)
        let w = random([outputs, inputs], 2).scaled(by: 1 / Float(inputs).squareRoot())
        let (b, residual) = (random([outputs], 3), random([1, rows, outputs], 4))
        let (xs, ws, bs, rs) = (x.scalars, w.scalars, b.scalars, residual.scalars)
        let sums = (0..<rows * outputs).map { i -> Double in
            let (r, o) = (i / outputs, i % outputs)
            return (0..<inputs).reduce(0) { $0 + Double(xs[r * inputs + $1]) * Double(ws[o * inputs + $1]) }
        }
        expectClose(x.linear(w).scalars, sums.map { Float($0) }, 1e-5)
        let plain = sums.indices.map { sums[$0] + Double(bs[$0 % outputs]) }
        expectClose(
            x.linear(w, bias: b, activation: .silu, residual: residual).scalars,
            plain.indices.map { Float(plain[$0] / (1 + exp(-plain[$0])) + Double(rs[$0])) }, 2e-5)
        func gated(_ h: [Double]) -> [Float] {
            (0..<rows * outputs / 2).map { i in
                let (r, o) = (i / (outputs / 2), i % (outputs / 2))
                return Float(h[r * outputs + o] * gelu(h[r * outputs + outputs / 2 + o]))
            }
        }
        expectClose(x.gatedLinear(w, bias: b).scalars, gated(plain), 2e-5)
        expectClose(x.gatedLinear(w).scalars, gated(sums), 2e-5)
        // A row's bits do not depend on the rows around it.
        let last = Tensor(Array(xs.suffix(inputs)), shape: [1, inputs])
        #expect(last.linear(w, bias: b).scalars == Array(x.linear(w, bias: b).scalars.suffix(outputs)))
    }

    /// Sums of products of 32-bit numbers are as near as 32 bits let them be, however they are multiplied, whatever the
    /// numbers' sizes and the format of the weights.
    @Test(arguments: [nil, .f16, .bf16] as [HalfFormat?])
    func productsOfFloatsAreExact(format: HalfFormat?) {
        for (rows, inputs, outputs) in [(1, 40, 16), (70, 700, 40), (300, 330, 700)] {
            let sizes = random([rows, inputs], 3).scalars.map { exp2(6 * $0) }
            let x = Tensor(zip(random([rows, inputs], 1).scalars, sizes).map { $0 * $1 }, shape: [rows, inputs])
            let weight = cutOff(random([outputs, inputs], 2), format)
            let (xs, ws) = (x.scalars, weight.scalars)
            var (wrong, all) = (0.0, 0.0)
            for (i, got) in x.linear(weight).scalars.enumerated() {
                let (r, o) = (i / outputs, i % outputs)
                let want = (0..<inputs).reduce(0) { $0 + Double(xs[r * inputs + $1]) * Double(ws[o * inputs + $1]) }
                (wrong, all) = (wrong + (Double(got) - want) * (Double(got) - want), all + want * want)
            }
            #expect((wrong / all).squareRoot() < 4e-7)
        }
    }

    @Test(arguments: [(50, 300, 40), (33, 65, 160), (300, 77, 8)])
    func attentionOfFloatsIsExact(queries: Int, keys: Int, d: Int) {
        let (q, k, v) = (random([1, queries, d], 1), random([1, keys, d], 2), random([1, keys, d], 3))
        let want = naiveAttention(q, k, v, 1, causal: false), got = q.attention(keys: k, values: v, heads: 1).scalars
        let wrong = zip(got, want).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
        #expect((wrong / want.reduce(0) { $0 + Double($1) * Double($1) }).squareRoot() < 5e-7)
    }

    /// Numbers as a checkpoint of this format has them, cut off.
    private func cutOff(_ numbers: Tensor, _ format: HalfFormat?) -> Tensor {
        guard let format else { return numbers }
        let bits = numbers.scalars.map { x -> UInt16 in
            format == .bf16
                ? UInt16(x.bitPattern >> 16)
                : UInt16(x.bitPattern >> 16 & 0x8000)
                    | UInt16((max(x.magnitude, 1e-4).bitPattern - (112 << 23)) >> 13)
        }
        return Tensor(format, shape: numbers.shape) { _ = $0.update(fromContentsOf: bits) }
    }

    /// Every finite number of 16 bits, read by the elementwise kernel and on the way into a product.
    @Test(arguments: HalfFormat.allCases)
    func numbersOf16Bits(format: HalfFormat) {
        let exponent: UInt16 = format == .f16 ? 0x7c00 : 0x7f80
        let bits = (0...UInt16.max).filter { $0 & exponent != exponent }
        let stored = Tensor(format, shape: [bits.count / 32, 32]) { _ = $0.update(fromContentsOf: bits) }
        let want = bits.map { format == .f16 ? halfValue($0) : Float(bitPattern: UInt32($0) << 16) }
        #expect(stored.isFinite)
        // One at a time: x is a unit vector, so a product's sum is one weight.
        let unit = Tensor((0..<32 * 32).map { $0 % 33 == 0 ? 1 : 0 }, shape: [32, 32])
        // Tiles take numbers for 0 that are smaller than the least normal one.
        let products = zip(unit.linear(stored).transposed().scalars, want)
        #expect(products.allSatisfy { $0 == $1 || abs($1) < .leastNormalMagnitude && $0 == 0 })
        #expect(stored.scalars == want)
        for place in [0, 40, 66] {
            let bad = Tensor(format, shape: [67]) {
                $0.update(repeating: 1)
                $0[place] = exponent
            }
            #expect(!bad.isFinite)
        }
    }

    /// Layers of 16-bit weights give the bits that the widened weights give, also for a part of the rows.
    @Test(arguments: HalfFormat.allCases)
    func layersOf16BitWeights(format: HalfFormat) {
        func weights(_ shape: [Int]) -> (stored: Tensor, floats: Tensor) {
            let short = cutOff(random(shape, 7).scaled(by: 0.1), format)
            return (short, Tensor(short.scalars, shape: shape))
        }
        let (stored, floats) = weights([37, 53])
        let x = random([19, 53], 1)
        #expect(x.linear(stored).scalars == x.linear(floats).scalars)
        #expect(x.linear(stored[5..<30]).scalars == x.linear(floats[5..<30]).scalars)
        for (side, stride) in [(13, 1), (8, 2)] {  // Winograd's kernel, and oneDNN's
            let (stored, floats) = weights([40, 35, 3, 3])
            let picture = random([1, side, side, 35], 2)
            func filter(_ weight: Tensor) -> ConvolutionFilter {
                ConvolutionFilter(weight: weight, bias: nil, stride: stride, padding: .init(1))
            }
            #expect(picture.convolved(filter(stored)).scalars == picture.convolved(filter(floats)).scalars)
        }
    }

    @Test func activationsOfLargeAndSmallNumbers() {
        let x = Tensor([-200, -30, -5, -1, -1e-3, 0, 1e-3, 0.5, 1, 5, 30, 200], shape: [12])
        for (activation, function) in activations {
            expectClose(x.activated(activation).scalars, x.scalars.map { Float(function(Double($0))) }, 2e-6)
        }
    }

    @Test(arguments: [(1, 1, 1, 1, 8), (2, 5, 9, 3, 8), (1, 100, 130, 2, 40), (1, 97, 257, 1, 24), (1, 200, 4, 4, 16)])
    func attention(n: Int, queries: Int, keys: Int, heads: Int, d: Int) {
        let q = random([n, queries, heads * d], 1)
        let (k, v) = (random([n, keys, heads * d], 2), random([n, keys, heads * d], 3))
        expectClose(
            q.attention(keys: k, values: v, heads: heads).scalars, naiveAttention(q, k, v, heads, causal: false), 1e-5)
        if queries == keys {
            expectClose(
                q.attention(keys: k, values: v, heads: heads, causal: true).scalars,
                naiveAttention(q, k, v, heads, causal: true), 1e-5)
        }
    }

    @Test(arguments: [1, 77, 300])
    func causalAttention(tokens: Int) {
        let (q, k, v) = (random([1, tokens, 16], 1), random([1, tokens, 16], 2), random([1, tokens, 16], 3))
        expectClose(
            q.attention(keys: k, values: v, heads: 2, causal: true).scalars, naiveAttention(q, k, v, 2, causal: true),
            1e-5)
    }

    @Test func attentionSurvivesLargeScores() {
        let q = random([1, 20, 8], 1).scaled(by: 100)
        let k = random([1, 300, 8], 2).scaled(by: 100)
        let v = random([1, 300, 8], 3)
        expectClose(
            q.attention(keys: k, values: v, heads: 1).scalars, naiveAttention(q, k, v, 1, causal: false), 1e-3)
    }

    @Test func decoupledAttentionIsASumOfTwo() {
        let (q, k, v) = (random([2, 30, 16], 1), random([2, 77, 16], 2), random([2, 77, 16], 3))
        let (ki, vi) = (random([2, 36, 16], 4), random([2, 36, 16], 5))
        let both = q.decoupledAttention(keys: k, values: v, imageKeys: ki, imageValues: vi, scale: 0.7, heads: 2)
        let sum = q.attention(keys: k, values: v, heads: 2)
            .blended(1, 0.7, with: q.attention(keys: ki, values: vi, heads: 2))
        expectClose(both.scalars, sum.scalars, 1e-6)
    }

    @Test(arguments: [(1, 1, 8, 2), (2, 33, 24, 8), (1, 300, 20, 4)])
    func groupNorm(n: Int, pixels: Int, channels: Int, groups: Int) {
        let x = random([n, pixels, channels], 1).scaled(by: 3, plus: 5)
        let (w, b) = (random([channels], 2), random([channels], 3))
        let y = x.groupNormalized(.init(groups: groups, weight: w, bias: b, eps: 1e-5))
        let (xs, ws, bs, width) = (x.scalars, w.scalars, b.scalars, channels / groups)
        var want = [Float](repeating: 0, count: x.count)
        for i in 0..<n {
            for g in 0..<groups {
                let at = (0..<pixels).flatMap { p in (0..<width).map { (i * pixels + p) * channels + g * width + $0 } }
                let mean = at.reduce(0.0) { $0 + Double(xs[$1]) } / Double(at.count)
                let variance = at.reduce(0.0) { $0 + pow(Double(xs[$1]) - mean, 2) } / Double(at.count)
                for j in at {
                    let c = j % channels
                    want[j] = Float(
                        (Double(xs[j]) - mean) / (variance + 1e-5).squareRoot() * Double(ws[c]) + Double(bs[c]))
                }
            }
        }
        expectClose(y.scalars, want, 2e-4)
        let silu = x.groupNormalized(.init(groups: groups, weight: w, bias: b, eps: 1e-5, silu: true))
        expectClose(silu.scalars, want.map { $0 / (1 + exp(-$0)) }, 2e-4)
    }

    @Test func layerNormSoftmaxAndGEGLU() {
        let x = random([5, 37], 1)
        let (w, b) = (random([37], 2), random([37], 3))
        let rows = (0..<5).map { Array(x.scalars[$0 * 37..<($0 + 1) * 37]) }
        let norm = rows.flatMap { row -> [Float] in
            let mean = row.reduce(0, +) / 37
            let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 37
            return row.enumerated().map { ($1 - mean) / (variance + 1e-5).squareRoot() * w.scalars[$0] + b.scalars[$0] }
        }
        expectClose(x.layerNormalized(weight: w, bias: b, eps: 1e-5).scalars, norm, 1e-5)
        let soft = rows.flatMap { row -> [Float] in
            let total = row.reduce(0) { $0 + exp($1) }
            return row.map { exp($0) / total }
        }
        expectClose(x.softmax().scalars, soft, 1e-6)
        let y = random([3, 34], 4)
        let geglu = (0..<3).flatMap { r in
            (0..<17).map { y.scalars[r * 34 + $0] * Float(gelu(Double(y.scalars[r * 34 + 17 + $0]))) }
        }
        expectClose(y.geglu().scalars, geglu, 1e-5)
    }

    @Test func layouts() {
        let x = Tensor((0..<24).map(Float.init), shape: [1, 2, 3, 4])
        #expect(x.channelsLast().shape == [1, 3, 4, 2])
        #expect(x.channelsLast().scalars.prefix(4) == [0, 12, 1, 13])
        #expect(x.channelsLast().channelsFirst().scalars == x.scalars)
        let a = Tensor([1, 2, 3, 4], shape: [2, 2])
        #expect(Tensor.concatenated(a, Tensor([9, 8], shape: [2, 1])).scalars == [1, 2, 9, 3, 4, 8])
        #expect(a.columns(1..<2).scalars == [2, 4])
        #expect(a.gathered([1, 0, 1]).scalars == [3, 4, 1, 2, 3, 4])
        let up = Tensor([1, 2], shape: [1, 1, 2, 1]).upsampledNearest(height: 2, width: 5)
        #expect(up.scalars == [1, 1, 1, 2, 2, 1, 1, 1, 2, 2])
        #expect(Tensor([1, 5, 3, 2], shape: [1, 2, 2]).maximumOverTokens().scalars == [3, 5])
        #expect(Tensor([1, 5, 3, 2], shape: [1, 2, 2]).meanOverTokens().scalars == [2, 3.5])
    }
}

private let activations: [(Activation, @Sendable (Double) -> Double)] = [
    (.silu, { $0 / (1 + exp(-$0)) }), (.quickGelu, { $0 / (1 + exp(-1.702 * $0)) }), (.gelu, gelu),
    (.relu, { max($0, 0) }),
]

/// The value of an IEEE 754 half.
private func halfValue(_ bits: UInt16) -> Float {
    let (exponent, fraction) = (Int(bits >> 10 & 31), Float(bits & 1023))
    let value =
        exponent == 0
        ? fraction * 0x1p-24 : (1024 + fraction) * Float(sign: .plus, exponent: exponent - 25, significand: 1)
    return bits & 0x8000 == 0 ? value : -value
}

@Sendable private func gelu(_ x: Double) -> Double { 0.5 * x * (1 + erf(x / 2.0.squareRoot())) }

func random(_ shape: [Int], _ stream: UInt64) -> Tensor {
    Tensor(Philox(seed: 42, stream: stream).normal(shape.reduce(1, *)), shape: shape)
}

func expectClose(
    _ got: [Float], _ want: [Float], _ tolerance: Float, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(got.count == want.count, sourceLocation: sourceLocation)
    let worst = zip(got, want).map { abs($0 - $1) / max(1, abs($1)) }.max() ?? 0
    #expect(worst <= tolerance, sourceLocation: sourceLocation)
    #expect(got.allSatisfy { $0.isFinite }, sourceLocation: sourceLocation)
}

private func naiveAttention(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ heads: Int, causal: Bool) -> [Float] {
    let (n, queries, width, keys) = (q.shape[0], q.shape[1], q.shape[2], k.shape[1])
    let d = width / heads
    let (qs, ks, vs) = (q.scalars, k.scalars, v.scalars)
    var out = [Float](repeating: 0, count: q.count)
    for i in 0..<n {
        for h in 0..<heads {
            for a in 0..<queries {
                let scores = (0..<(causal ? a + 1 : keys)).map { b in
                    (0..<d).reduce(0.0) {
                        $0 + Double(qs[(i * queries + a) * width + h * d + $1])
                            * Double(ks[(i * keys + b) * width + h * d + $1])
                    } / Double(d).squareRoot()
                }
                let top = scores.max() ?? 0
                let weights = scores.map { exp($0 - top) }
                let total = weights.reduce(0, +)
                for c in 0..<d {
                    let sum = weights.enumerated().reduce(0.0) {
                        $0 + $1.element * Double(vs[(i * keys + $1.offset) * width + h * d + c])
                    }
                    out[(i * queries + a) * width + h * d + c] = Float(sum / total)
                }
            }
        }
    }
    return out
}
