internal import CKernels
internal import COneDNN
import Synchronization

/// The weights of a 2-d convolution: as the checkpoint has them for Winograd's kernel, packed once for each layout that
/// oneDNN asks for.
///
/// Matches `torch.nn.Conv2d` with `groups` 1 and `dilation` 1. Padding may differ by side, for the VAE encoder's
/// downsampling, which pads right and bottom only.
public final class ConvolutionFilter: Sendable {
    /// Zeros added around the picture, in pixels.
    public struct Padding: Sendable, Hashable {
        let top, left, bottom, right: Int

        /// Each side its own.
        public init(top: Int, left: Int, bottom: Int, right: Int) {
            (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
        }

        /// The same on all sides.
        public init(_ all: Int) { self.init(top: all, left: all, bottom: all, right: all) }
    }

    /// Output channels, input channels, kernel height, kernel width.
    public let shape: [Int]
    let bias: Tensor?
    let stride: Int
    let padding: Padding
    /// The weights themselves where they are being trained: they change, so no packed copy is kept.
    let trained: Tensor?
    private let packed: Mutex<Packed>
    private let packedBackward: Mutex<Packed?>

    /// Either the checkpoint's own order or, once a layout is known, that layout; never both, so that a packed model
    /// is no larger than its checkpoint.
    private struct Packed {
        var layout: dnnl_memory_desc_t?
        var weight: Tensor
    }

    /// - Parameters:
    ///   - weight: [out, in, kernel height, kernel width]
    ///   - bias: [out]
    public init(weight: Tensor, bias: Tensor?, stride: Int = 1, padding: Padding) {
        precondition(weight.shape.count == 4, "a filter has four axes, not \(weight.shape)")
        (shape, self.bias, self.stride, self.padding) = (weight.shape, bias, stride, padding)
        trained = weight.requiresGradient ? weight : nil
        packed = Mutex(Packed(layout: nil, weight: weight))
        packedBackward = Mutex(nil)
    }

    /// Whether the weights are numbers of 16 bits.
    var isHalf: Bool { packed.withLock { $0.weight.storage.halves != nil } }

    /// The weights in `wanted` layout, repacked only when it changes.
    func weight(in wanted: dnnl_memory_desc_t) -> Tensor {
        if let trained { return trained.reordered(from: OneDNN.layout(shape, dnnl_oihw), to: wanted) }
        return packed.withLock { held in
            var (from, to) = (held.layout ?? OneDNN.layout(shape, dnnl_oihw), wanted)
            if dnnl_memory_desc_equal(&from, &to) == 0 {
                let size = dnnl_memory_desc_get_size(&to)
                let packed = Reorder.run(held.weight, from: from, to: to, floats: size / 4)
                // The checkpoint's own pages of it are not read again.
                held.weight.storage.releasePages(held.weight.offset..<held.weight.offset + held.weight.count)
                held = Packed(layout: to, weight: packed)
            }
            return held.weight
        }
    }

    /// The weights in the layout that the gradient by the input wants; kept apart from the forward pass's.
    func backwardWeight(in wanted: dnnl_memory_desc_t) -> Tensor {
        if let trained { return trained.reordered(from: OneDNN.layout(shape, dnnl_oihw), to: wanted) }
        return packedBackward.withLock { held in
            if let known = held, var layout = known.layout {
                var wanted = wanted
                if dnnl_memory_desc_equal(&layout, &wanted) != 0 { return known.weight }
            }
            let source = packed.withLock { $0 }
            var layout = wanted
            let weight = Reorder.run(
                source.weight, from: source.layout ?? OneDNN.layout(shape, dnnl_oihw), to: wanted,
                floats: dnnl_memory_desc_get_size(&layout) / 4)
            held = Packed(layout: wanted, weight: weight)
            return weight
        }
    }
}

extension Tensor {
    /// Convolves [N, H, W, C] with `filter` → [N, H', W', out], with what stands around a convolution in a residual block:
    /// kernels that can do so do that as they read and write.
    ///
    /// - Parameters:
    ///   - norm: is done first, before any padding
    ///   - upsampled: whether pictures are upsampled to twice their size then, nearest-neighbour
    ///   - perPicture: [N, out], added to every pixel
    ///   - residual: [N, H', W', out], added
    ///   - reader: what reads the result
    public func convolved(
        _ filter: ConvolutionFilter, after norm: GroupNormalization? = nil, upsampled: Bool = false,
        perPicture: Tensor? = nil, residual: Tensor? = nil, for reader: Reader = .any
    ) -> Tensor {
        let (scale, out, kh, kw) = (upsampled ? 2 : 1, filter.shape[0], filter.shape[2], filter.shape[3])
        let (n, h, w, c) = (shape[0], shape[1] * scale, shape[2] * scale, shape[3])
        precondition(filter.shape[1] == c, "a filter \(filter.shape) cannot read \(c) channels of \(shape)")
        let (p, s) = (filter.padding, filter.stride)
        let oh = (h + p.top + p.bottom - kh) / s + 1
        let ow = (w + p.left + p.right - kw) / s + 1
        precondition(perPicture.map { $0.shape == [n, out] } ?? true, "not [\(n), \(out)] for each picture")
        precondition(residual.map { $0.shape == [n, oh, ow, out] } ?? true, "not \([n, oh, ow, out]) to be added")

        let plan = ConvolutionPlan(
            n: n, c: c, h: h, w: w, out: out, kh: kh, kw: kw, oh: oh, ow: ow, stride: s, padding: p,
            hasBias: filter.bias != nil)
        let isRecording = Tensor.isRecording([self, filter.trained, filter.bias, norm?.weight, norm?.bias])
        if plan.tilesApply(upsampled: upsampled), !isRecording, filter.trained == nil {
            return convolvedByTiles(filter, plan, norm, upsampled, perPicture, residual, reader)
        }
        if let norm {
            return groupNormalized(norm, for: upsampled ? .any : .convolution)
                .convolved(filter, upsampled: upsampled, perPicture: perPicture, residual: residual)
        }
        if upsampled {
            return upsampledNearest(height: h, width: w).convolved(filter, perPicture: perPicture, residual: residual)
        }
        // oneDNN would want 16-bit weights packed in 32, for little time saved.
        guard filter.trained == nil, plan.winogradApplies, plan.winogradIsFaster || filter.isHalf else {
            var y = convolvedDirectly(filter, plan)
            if let perPicture { y = y.addingPerChannel(perPicture) }
            return residual.map { $0 + y } ?? y
        }
        return Tensor(shape: [n, oh, ow, out]) { result in
            var args = plan.arguments(filter, perPicture, residual)
            (args.y, args.x) = (UnsafeMutableRawPointer(result.baseAddress), UnsafeRawPointer(pointer))
            withExtendedLifetime((storage, perPicture?.storage, residual?.storage)) { plan.run(&args, filter) }
        }
        .recorded(self, filter.bias, perPicture, residual) { [x = self] dy, sums in
            sums.add(plan.gradientByInput(dy, filter), to: x)
            sums.add(dy.reshaped([1, -1, out]).summedOverTokens(), to: filter.bias)
            sums.add(dy.reshaped([n, -1, out]).summedOverTokens(), to: perPicture)
            sums.add(dy, to: residual)
        }
    }

    /// By our kernels' tiles of bfloat16, which read the filter's numbers as they are stored.
    private func convolvedByTiles(
        _ filter: ConvolutionFilter, _ plan: ConvolutionPlan, _ norm: GroupNormalization?, _ upsampled: Bool,
        _ perPicture: Tensor?, _ residual: Tensor?, _ reader: Reader
    ) -> Tensor {
        let scales = norm.map { norm in Profile.measure(.normalization) { norm.scales(of: self) } }
        let x = read(by: .convolution)
        let sums = ChannelSums(n: plan.n, channels: plan.out)
        let shortened = plan.isLarge ? reader : .any
        let y = Tensor(shape: [plan.n, plan.oh, plan.ow, plan.out], for: shortened) { result, format in
            var args = plan.arguments(filter, perPicture, residual)
            (args.y, args.y_format, args.x, args.x_format) = (result, format, x.pointer, x.format)
            (args.h, args.w) = (shape[1], shape[2])
            args.upscale = upsampled ? 2 : 1
            (args.scale_shift, args.silu) = (UnsafePointer(scales?.pointer), norm?.silu ?? false)
            args.sums = sums.pointer
            withExtendedLifetime((storage, scales?.storage, perPicture?.storage, residual?.storage)) {
                plan.run(&args, filter)
            }
        }
        y.storage.channelSums = sums
        return y
    }

    /// By oneDNN, which takes any shape.
    private func convolvedDirectly(_ filter: ConvolutionFilter, _ plan: ConvolutionPlan) -> Tensor {
        let out = plan.out
        let primitive = plan.forward
        let layout = primitive.layout(dnnl_query_weights_md)
        let weight = filter.weight(in: layout)
        return Tensor(shape: [plan.n, plan.oh, plan.ow, out]) { result in
            guard let result = result.baseAddress else { return }
            var arguments: [(Int32, dnnl_memory_desc_t, UnsafeMutableRawPointer)] = [
                (DNNL_ARG_SRC, primitive.layout(dnnl_query_src_md), UnsafeMutableRawPointer(pointer)),
                (DNNL_ARG_WEIGHTS, layout, UnsafeMutableRawPointer(weight.pointer)),
                (DNNL_ARG_DST, primitive.layout(dnnl_query_dst_md), UnsafeMutableRawPointer(result)),
            ]
            if let bias = filter.bias {
                arguments.append((DNNL_ARG_BIAS, OneDNN.layout([out], dnnl_a), UnsafeMutableRawPointer(bias.pointer)))
            }
            withExtendedLifetime((storage, weight.storage, filter)) {
                Profile.measure(.convolution, flops: plan.flops) { primitive.execute(arguments) }
            }
        }
        .recorded(self, filter.trained, filter.bias) { [x = self] dy, sums in
            sums.add(plan.gradientByInput(dy, filter), to: x)
            guard let weight = filter.trained else {
                sums.add(dy.reshaped([1, -1, out]).summedOverTokens(), to: filter.bias)
                return
            }
            let (dw, db) = plan.gradientByWeight(dy, x)
            sums.add(dw, to: weight)
            sums.add(db, to: filter.bias)
        }
    }

    /// The same numbers in another oneDNN layout, as a flat tensor.
    func reordered(from: dnnl_memory_desc_t, to: dnnl_memory_desc_t) -> Tensor {
        var (source, wanted) = (from, to)
        if dnnl_memory_desc_equal(&source, &wanted) != 0 { return self }
        return Reorder.run(self, from: from, to: to, floats: dnnl_memory_desc_get_size(&wanted) / 4, longLived: false)
    }
}

/// Copies numbers from one oneDNN layout to another.
enum Reorder {
    static func run(
        _ tensor: Tensor, from: dnnl_memory_desc_t, to: dnnl_memory_desc_t, floats: Int, longLived: Bool = true
    ) -> Tensor {
        var (from, to) = (from, to)
        var descriptor: dnnl_primitive_desc_t?
        var primitive: dnnl_primitive_t?
        OneDNN.check(
            dnnl_reorder_primitive_desc_create(&descriptor, &from, OneDNN.engine, &to, OneDNN.engine, nil), "reorder")
        OneDNN.check(dnnl_primitive_create(&primitive, descriptor), "reorder")
        defer {
            dnnl_primitive_destroy(primitive)
            dnnl_primitive_desc_destroy(descriptor)
        }
        return Tensor(shape: [floats], longLived: longLived) { out in
            guard let out = out.baseAddress else { return }
            let memories = [
                OneDNN.memory(from, UnsafeMutableRawPointer(tensor.pointer)),
                OneDNN.memory(to, UnsafeMutableRawPointer(out)),
            ]
            defer { for memory in memories { dnnl_memory_destroy(memory) } }
            let arguments = [
                dnnl_exec_arg_t(arg: DNNL_ARG_FROM, memory: memories[0]),
                dnnl_exec_arg_t(arg: DNNL_ARG_TO, memory: memories[1]),
            ]
            withExtendedLifetime(tensor.storage) {
                OneDNN.check(dnnl_primitive_execute(primitive, OneDNN.stream, 2, arguments), "reorder")
                OneDNN.check(dnnl_stream_wait(OneDNN.stream), "reorder")
            }
        }
    }
}
