internal import CKernels
internal import COneDNN

/// The oneDNN primitives of one convolution's shapes: forward, gradient by the input, gradient by the weights.
struct ConvolutionPlan: Sendable {
    let n, c, h, w, out, kh, kw, oh, ow, stride: Int
    let padding: ConvolutionFilter.Padding
    let hasBias: Bool

    /// Operations of one pass.
    var flops: Double { 2 * Double(n * oh * ow * out) * Double(c * kh * kw) }

    /// Whether our own Winograd kernel beats oneDNN's direct convolution. It multiplies 36 times for each tile of 4×4
    /// results, where the sum itself multiplies 144 times, and pays for transforming the filters as for about ten tiles.
    /// Never by N: a picture's bits must not depend on the batch it is in.
    var winogradIsFaster: Bool {
        let tiles = ((oh + 3) / 4) * ((ow + 3) / 4)
        return 4 * (tiles + 10) < oh * ow * 6 / 5
    }

    /// Whether our Winograd kernel can do it without spending most of its time on padding.
    var winogradApplies: Bool { kh == 3 && kw == 3 && stride == 1 && c >= 16 && out >= 16 }

    /// Whether our kernels multiply rounded numbers in tiles, which nothing else comes near.
    func tilesApply(upsampled: Bool) -> Bool {
        let pads = padding.top <= 1 && padding.left <= 1
        let upsamples = !upsampled || stride == 1 && padding == .init(1)
        return Reader.convolution.takesRounded && kh == 3 && kw == 3 && stride <= 2 && pads && upsamples && c >= 16
            && c % 2 == 0
    }

    /// Whether a picture's result is so large that caches do not keep it: writing half of it is worth rounding it.
    var isLarge: Bool { oh * ow * out >= 8 << 20 }

    /// What is the same for all of our kernels; x and y are still to be named.
    func arguments(_ filter: ConvolutionFilter, _ perPicture: Tensor?, _ residual: Tensor?) -> lk_convolution_args {
        lk_convolution_args(
            y: nil, x: nil, weights: nil, y_format: LK_F32, x_format: LK_F32, format: LK_F32,
            bias: filter.bias?.pointer, per_picture: perPicture?.pointer, residual: residual?.pointer, n: n, h: h, w: w,
            channels: c, oh: oh, ow: ow, outputs: out, pad_top: padding.top, pad_left: padding.left,
            bf16: Precision.roundsProducts, scratch: nil, stride: stride, upscale: 1, scale_shift: nil, silu: false,
            sums: nil)
    }

    /// Runs our kernels, which read the filter as the checkpoint has it.
    func run(_ args: inout lk_convolution_args, _ filter: ConvolutionFilter) {
        let weight = filter.weight(in: OneDNN.layout(filter.shape, dnnl_oihw))
        (args.weights, args.format) = weight.weights
        var floats = 0
        lk_convolve_3x3_scratch(&floats, &args)
        let scratch = Storage(count: floats)
        args.scratch = scratch.base
        withExtendedLifetime((scratch, weight.storage, filter)) {
            Profile.measure(.convolution, flops: flops) { lk_convolve_3x3(&args) }
        }
    }

    private var source: dnnl_memory_desc_t { OneDNN.layout([n, c, h, w], dnnl_nhwc) }
    private var destination: dnnl_memory_desc_t { OneDNN.layout([n, out, oh, ow], dnnl_nhwc) }
    private var anyWeights: dnnl_memory_desc_t { OneDNN.layout([out, c, kh, kw], dnnl_format_tag_any) }
    private var biases: dnnl_memory_desc_t { OneDNN.layout([out], dnnl_a) }
    private var strides: [Int64] { [Int64(stride), Int64(stride)] }
    private var before: [Int64] { [Int64(padding.top), Int64(padding.left)] }
    private var after: [Int64] { [Int64(padding.bottom), Int64(padding.right)] }

    private func key(_ kind: Int) -> [Int] {
        [kind, n, h, w, c, out, kh, kw, stride, padding.top, padding.left, padding.bottom, padding.right]
            + [hasBias ? 1 : 0]
    }

    private func forwardOperation(_ kind: dnnl_prop_kind_t) -> dnnl_convolution_desc_t {
        var (source, weights, bias, destination) = (source, anyWeights, biases, destination)
        var operation = dnnl_convolution_desc_t()
        OneDNN.check(
            withUnsafePointer(to: &bias) { bias in
                dnnl_convolution_forward_desc_init(
                    &operation, kind, dnnl_convolution_direct, &source, &weights, hasBias ? bias : nil, &destination,
                    strides, before, after)
            }, "convolution")
        return operation
    }

    var forward: Primitive {
        OneDNN.primitive(key(1)) {
            var operation = forwardOperation(dnnl_forward_inference)
            return Primitive.make(&operation)
        }
    }

    private var byInput: Primitive {
        OneDNN.primitive(key(4)) {
            var (source, weights, destination) = (source, anyWeights, destination)
            var operation = dnnl_convolution_desc_t()
            OneDNN.check(
                dnnl_convolution_backward_data_desc_init(
                    &operation, dnnl_convolution_direct, &source, &weights, &destination, strides, before, after),
                "convolution's gradient by its input")
            var hint = forwardOperation(dnnl_forward_training)
            return Primitive.make(&operation, hint: &hint)
        }
    }

    private var byWeight: Primitive {
        OneDNN.primitive(key(5)) {
            var (source, weights, bias, destination) = (source, anyWeights, biases, destination)
            var operation = dnnl_convolution_desc_t()
            OneDNN.check(
                withUnsafePointer(to: &bias) { bias in
                    dnnl_convolution_backward_weights_desc_init(
                        &operation, dnnl_convolution_direct, &source, &weights, hasBias ? bias : nil, &destination,
                        strides, before, after)
                }, "convolution's gradient by its weights")
            var hint = forwardOperation(dnnl_forward_training)
            return Primitive.make(&operation, hint: &hint)
        }
    }

    /// dy [N, OH, OW, out] → dx [N, H, W, C]
    func gradientByInput(_ dy: Tensor, _ filter: ConvolutionFilter) -> Tensor {
        let primitive = byInput
        let layout = primitive.layout(dnnl_query_weights_md)
        let weight = filter.backwardWeight(in: layout)
        return Tensor(shape: [n, h, w, c]) { result in
            guard let result = result.baseAddress else { return }
            withExtendedLifetime((dy.storage, weight.storage)) {
                Profile.measure(.convolution, flops: flops) {
                    primitive.execute([
                        (DNNL_ARG_DIFF_DST, destination, UnsafeMutableRawPointer(dy.pointer)),
                        (DNNL_ARG_WEIGHTS, layout, UnsafeMutableRawPointer(weight.pointer)),
                        (DNNL_ARG_DIFF_SRC, source, UnsafeMutableRawPointer(result)),
                    ])
                }
            }
        }
    }

    /// dy and x → dW [out, C, KH, KW] and db [out]
    func gradientByWeight(_ dy: Tensor, _ x: Tensor) -> (Tensor, Tensor) {
        let primitive = byWeight
        var layout = primitive.layout(dnnl_query_diff_weights_md)
        var packed: Tensor?
        let bias = Tensor(shape: [out]) { bias in
            guard let bias = bias.baseAddress else { return }
            packed = Tensor(shape: [dnnl_memory_desc_get_size(&layout) / 4]) { weights in
                guard let weights = weights.baseAddress else { return }
                var arguments: [(Int32, dnnl_memory_desc_t, UnsafeMutableRawPointer)] = [
                    (DNNL_ARG_DIFF_DST, destination, UnsafeMutableRawPointer(dy.pointer)),
                    (DNNL_ARG_SRC, source, UnsafeMutableRawPointer(x.pointer)),
                    (DNNL_ARG_DIFF_WEIGHTS, layout, UnsafeMutableRawPointer(weights)),
                ]
                if hasBias { arguments.append((DNNL_ARG_DIFF_BIAS, biases, UnsafeMutableRawPointer(bias))) }
                withExtendedLifetime((dy.storage, x.storage)) {
                    Profile.measure(.convolution, flops: flops) { primitive.execute(arguments) }
                }
            }
        }
        let shape = [out, c, kh, kw]
        guard let packed else { return (.zeros(shape), bias) }
        let plain = packed.reordered(from: layout, to: OneDNN.layout(shape, dnnl_oihw))
        return (plain.reshaped(shape), bias)
    }
}
