internal import COneDNN

/// What a pooling window gives.
public enum Pooling: Sendable {
    case maximum
    /// The mean of those pixels of the window that are in the picture (`count_include_pad=False`).
    case average
}

extension Tensor {
    /// Slides a square window over [N, H, W, C] (`torch.nn.MaxPool2d`, `AvgPool2d`). Not differentiable.
    ///
    /// - Parameter partial: whether a last window that hangs over the edge counts too (`ceil_mode=True`)
    /// - Returns: [N, (H + 2·padding − window) / stride + 1, likewise, C]
    public func pooled(
        _ kind: Pooling, window: Int, stride: Int, padding: Int = 0, partial: Bool = false
    ) -> Tensor {
        precondition(shape.count == 4 && !requiresGradient, "pooling wants a constant [N, H, W, C], not \(shape)")
        let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
        precondition(
            window > padding && h + 2 * padding >= (partial ? 1 : window) && w + 2 * padding >= (partial ? 1 : window),
            "window \(window)")
        func windows(_ extent: Int) -> Int {
            let room = extent + 2 * padding - window
            guard partial else { return room / stride + 1 }
            let count = (room + stride - 1) / stride + 1
            // One that begins outside holds no pixel.
            return (count - 1) * stride >= extent + padding ? count - 1 : count
        }
        let (oh, ow) = (windows(h), windows(w))
        let algorithm = kind == .maximum ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding
        let source = OneDNN.layout([n, c, h, w], dnnl_nhwc)
        let destination = OneDNN.layout([n, c, oh, ow], dnnl_nhwc)
        let primitive = OneDNN.primitive(
            [6, n, h, w, c, window, stride, padding, kind == .maximum ? 1 : 0, partial ? 1 : 0]
        ) {
            var (source, destination) = (source, destination)
            var operation = dnnl_pooling_desc_t()
            let (strides, kernel) = ([Int64(stride), Int64(stride)], [Int64(window), Int64(window)])
            // oneDNN counts the last window's overhang as padding; a window that does not fit is left out here.
            let before = [Int64(padding), Int64(padding)]
            let after = [
                Int64((oh - 1) * stride + window - h - padding), Int64((ow - 1) * stride + window - w - padding),
            ]
            OneDNN.check(
                dnnl_pooling_forward_desc_init(
                    &operation, dnnl_forward_inference, algorithm, &source, &destination, strides, kernel, before,
                    after),
                "pooling")
            return Primitive.make(&operation)
        }
        return Tensor(shape: [n, oh, ow, c]) { result in
            guard let result = result.baseAddress else { return }
            withExtendedLifetime(storage) {
                primitive.execute([
                    (DNNL_ARG_SRC, source, UnsafeMutableRawPointer(pointer)),
                    (DNNL_ARG_DST, destination, UnsafeMutableRawPointer(result)),
                ])
            }
        }
    }
}
