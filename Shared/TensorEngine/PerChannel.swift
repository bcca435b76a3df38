// What face networks do to every channel of a map by its own number. Not differentiable: those networks are not trained here.

extension Tensor {
    /// x · scale + shift for every channel (the last axis), which is batch normalisation with known statistics.
    ///
    /// - Parameters:
    ///   - scale: [C]
    ///   - shift: [C]
    public func scaledPerChannel(by scale: Tensor, plus shift: Tensor) -> Tensor {
        perChannel(scale, shift) { x, scale, shift in x * scale + shift }
    }

    /// x where it is positive, else x · slope of its channel, the last axis (`torch.nn.PReLU`).
    ///
    /// - Parameter slope: [C]
    public func leaky(_ slope: Tensor) -> Tensor {
        perChannel(slope, slope) { x, slope, _ in x > 0 ? x : x * slope }
    }

    @inline(__always)
    private func perChannel(_ a: Tensor, _ b: Tensor, _ rule: (Float, Float, Float) -> Float) -> Tensor {
        let channels = shape[shape.count - 1]
        precondition(a.shape == [channels] && b.shape == [channels] && !requiresGradient, "\(a.shape) for \(shape)")
        return Tensor(shape: shape) { out in
            withUnsafeBuffer { x in
                a.withUnsafeBuffer { a in
                    b.withUnsafeBuffer { b in
                        for row in stride(from: 0, to: x.count, by: channels) {
                            for c in 0..<channels { out[row + c] = rule(x[row + c], a[c], b[c]) }
                        }
                    }
                }
            }
        }
    }

    /// Means over equal parts of a rectangle of [1, H, W, C], as `torch.nn.functional.interpolate(mode="area")`: pixel i of
    /// the result is the mean of pixels ⌊i·n/m⌋ ..< ⌈(i+1)·n/m⌉ of the n there are.
    ///
    /// - Returns: [1, height, width, C]
    public func averaged(rows: Range<Int>, columns: Range<Int>, height: Int, width: Int) -> Tensor {
        precondition(shape.count == 4 && shape[0] == 1 && !requiresGradient, "a picture, not \(shape)")
        precondition(!rows.isEmpty && !columns.isEmpty && height > 0 && width > 0, "an empty rectangle")
        precondition(rows.upperBound <= shape[1] && columns.upperBound <= shape[2], "outside \(shape)")
        let (w, c) = (shape[2], shape[3])
        func parts(_ range: Range<Int>, _ count: Int) -> [Range<Int>] {
            (0..<count).map { i in
                let (low, high) = (i * range.count / count, ((i + 1) * range.count + count - 1) / count)
                return range.lowerBound + low..<range.lowerBound + high
            }
        }
        let (tall, wide) = (parts(rows, height), parts(columns, width))
        return Tensor(shape: [1, height, width, c]) { out in
            withUnsafeBuffer { x in
                var sums = [Float](repeating: 0, count: w * c)
                for (y, rows) in tall.enumerated() {
                    for i in columns.lowerBound * c..<columns.upperBound * c { sums[i] = 0 }
                    for row in rows {
                        for i in columns.lowerBound * c..<columns.upperBound * c { sums[i] += x[row * w * c + i] }
                    }
                    for (column, columns) in wide.enumerated() {
                        for channel in 0..<c {
                            var sum: Float = 0
                            for place in columns { sum += sums[place * c + channel] }
                            out[(y * width + column) * c + channel] = sum / Float(rows.count * columns.count)
                        }
                    }
                }
            }
        }
    }
}
