internal import CKernels

extension Tensor {
    /// [N, C, H, W] → [N, H, W, C]
    public func channelsLast() -> Tensor {
        let (n, c, h, w) = (shape[0], shape[1], shape[2], shape[3])
        return transposed(n, c, h * w, to: [n, h, w, c])
    }

    /// [N, H, W, C] → [N, C, H, W]
    public func channelsFirst() -> Tensor {
        let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
        return transposed(n, h * w, c, to: [n, c, h, w])
    }

    private func transposed(_ n: Int, _ a: Int, _ b: Int, to shape: [Int]) -> Tensor {
        Tensor(shape: shape) { out in
            withExtendedLifetime(storage) { lk_transpose(out.baseAddress, pointer, n, a, b) }
        }
    }

    /// Joins two tensors along the last axis: [..., A] and [..., B] → [..., A+B].
    public static func concatenated(_ x: Tensor, _ z: Tensor) -> Tensor {
        let (a, b) = (x.shape[x.shape.count - 1], z.shape[z.shape.count - 1])
        precondition(x.shape.dropLast() == z.shape.dropLast(), "\(x.shape) and \(z.shape) differ before the last axis")
        return Tensor(shape: x.shape.dropLast() + [a + b]) { out in
            withExtendedLifetime((x.storage, z.storage)) {
                Profile.measure(.layout) { lk_concat(out.baseAddress, x.pointer, z.pointer, x.count / a, a, b) }
            }
        }
    }

    /// Joins tensors along the first axis.
    public static func stacked(_ parts: [Tensor]) -> Tensor {
        let rest = parts[0].shape.dropFirst()
        precondition(parts.allSatisfy { $0.shape.dropFirst() == rest }, "shapes differ after the first axis")
        return Tensor(shape: [parts.reduce(0) { $0 + $1.shape[0] }] + rest) { out in
            var at = 0
            for part in parts {
                part.withUnsafeBuffer { _ = out[at...].update(fromContentsOf: $0) }
                at += part.count
            }
        }
    }

    /// Nearest-neighbour resize of [N, H, W, C] to [N, height, width, C], as torch's `interpolate(mode="nearest")`.
    public func upsampledNearest(height: Int, width: Int) -> Tensor {
        let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
        return Tensor(shape: [n, height, width, c]) { out in
            withExtendedLifetime(storage) {
                Profile.measure(.layout) { lk_upsample_nearest(out.baseAddress, pointer, n, h, w, c, height, width) }
            }
        }
    }

    /// Rows `indices` of a table [V, D] → [indices, D].
    public func gathered(_ indices: [Int]) -> Tensor {
        let d = shape[1]
        return Tensor(shape: [indices.count, d]) { out in
            withUnsafeBuffer { table in
                for (row, index) in indices.enumerated() {
                    precondition(
                        index >= 0 && index < shape[0], "index \(index) is outside a table of \(shape[0]) rows")
                    _ = out[(row * d)...].update(fromContentsOf: table[(index * d)..<((index + 1) * d)])
                }
            }
        }
    }
}

extension Tensor {
    /// Columns `range` of a matrix [R, D] → [R, range].
    public func columns(_ range: Range<Int>) -> Tensor {
        let (rows, d) = (shape[0], shape[1])
        precondition(0 <= range.lowerBound && range.upperBound <= d, "\(range) is outside axis 1 of \(shape)")
        return Tensor(shape: [rows, range.count]) { out in
            withUnsafeBuffer { x in
                for row in 0..<rows {
                    _ = out[(row * range.count)...].update(
                        fromContentsOf: x[(row * d + range.lowerBound)..<(row * d + range.upperBound)])
                }
            }
        }
    }

    /// Maximum over axis 1 of [N, T, D] → [N, D].
    public func maximumOverTokens() -> Tensor { reducedOverTokens { max($0, $1) } }

    /// Mean over axis 1 of [N, T, D] → [N, D].
    public func meanOverTokens() -> Tensor { reducedOverTokens(+).scaled(by: 1 / Float(shape[1])) }

    private func reducedOverTokens(_ combine: (Float, Float) -> Float) -> Tensor {
        let (n, t, d) = (shape[0], shape[1], shape[2])
        return Tensor(shape: [n, d]) { out in
            withUnsafeBuffer { x in
                for i in 0..<n {
                    for j in 0..<d {
                        var value = x[i * t * d + j]
                        for row in 1..<max(t, 1) { value = combine(value, x[(i * t + row) * d + j]) }
                        out[i * d + j] = value
                    }
                }
            }
        }
    }
}
