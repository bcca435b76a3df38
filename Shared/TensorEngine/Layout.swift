internal import CKernels

extension Tensor {
    /// [N, C, H, W] → [N, H, W, C]
    public func channelsLast() -> Tensor {
        let (n, c, h, w) = (shape[0], shape[1], shape[2], shape[3])
        return transposed(n, c, h * w, to: [n, h, w, c])
            .recorded(self) { [x = self] dy, sums in sums.add(dy.channelsFirst(), to: x) }
    }

    /// [N, H, W, C] → [N, C, H, W]
    public func channelsFirst() -> Tensor {
        let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
        return transposed(n, h * w, c, to: [n, c, h, w])
            .recorded(self) { [x = self] dy, sums in sums.add(dy.channelsLast(), to: x) }
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
        let joined = Tensor(shape: x.shape.dropLast() + [a + b]) { out in
            withExtendedLifetime((x.storage, z.storage)) {
                Profile.measure(.layout) { lk_concat(out.baseAddress, x.pointer, z.pointer, x.count / a, a, b) }
            }
        }
        if let left = x.channelSums, let right = z.channelSums {
            joined.storage.channelSums = ChannelSums(left, right)
        }
        return joined.recorded(x, z) { dy, sums in
            let rows = dy.reshaped([-1, a + b])
            sums.add(rows.columns(0..<a), to: x)
            sums.add(rows.columns(a..<a + b), to: z)
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
        .recorded(of: parts) { dy, sums in
            var row = 0
            for part in parts {
                sums.add(dy[row..<row + part.shape[0]], to: part)
                row += part.shape[0]
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
        .recorded(self) { [x = self] dy, sums in
            sums.add(
                Tensor(shape: x.shape) { out in
                    withExtendedLifetime(dy.storage) {
                        Profile.measure(.layout) {
                            lk_upsample_backward(out.baseAddress, dy.pointer, n, h, w, c, height, width)
                        }
                    }
                }, to: x)
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
        .recorded(self) { [table = self] dy, sums in
            sums.add(
                Tensor(shape: table.shape) { out in
                    out.update(repeating: 0)
                    dy.withUnsafeBuffer { rows in
                        for (row, index) in indices.enumerated() {
                            for j in 0..<d { out[index * d + j] += rows[row * d + j] }
                        }
                    }
                }, to: table)
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
        .recorded(self) { [x = self] dy, sums in
            sums.add(
                Tensor(shape: x.shape) { out in
                    out.update(repeating: 0)
                    dy.withUnsafeBuffer { dy in
                        for row in 0..<rows {
                            _ = out[(row * d + range.lowerBound)...].update(
                                fromContentsOf: dy[(row * range.count)..<((row + 1) * range.count)])
                        }
                    }
                }, to: x)
        }
    }

    /// Maximum over axis 1 of [N, T, D] → [N, D]. Its gradient goes to the first largest of each column, as torch's.
    public func maximumOverTokens() -> Tensor {
        let (n, t, d) = (shape[0], shape[1], shape[2])
        var places = [Int](repeating: 0, count: n * d)
        let result = Tensor(shape: [n, d]) { out in
            withUnsafeBuffer { x in
                for i in 0..<n {
                    for j in 0..<d {
                        var best = i * t * d + j
                        for row in 1..<max(t, 1) where x[(i * t + row) * d + j] > x[best] {
                            best = (i * t + row) * d + j
                        }
                        places[i * d + j] = best
                        out[i * d + j] = x[best]
                    }
                }
            }
        }
        return result.recorded(self) { [x = self, places] dy, sums in
            sums.add(
                Tensor(shape: x.shape) { out in
                    out.update(repeating: 0)
                    dy.withUnsafeBuffer { for (place, value) in zip(places, $0) { out[place] += value } }
                }, to: x)
        }
    }

    /// Sum over axis 1 of [N, T, D] → [N, D].
    public func summedOverTokens() -> Tensor {
        let (n, t, d) = (shape[0], shape[1], shape[2])
        return Tensor(shape: [n, d]) { out in
            withExtendedLifetime(storage) { lk_sum_rows(out.baseAddress, pointer, n, t, d) }
        }
        .recorded(self) { [x = self] dy, sums in
            sums.add(Tensor.zeros(x.shape).addingPerChannel(dy), to: x)
        }
    }

    /// Mean over axis 1 of [N, T, D] → [N, D].
    public func meanOverTokens() -> Tensor { summedOverTokens().scaled(by: 1 / Float(shape[1])) }

    /// Sum of all numbers → [1].
    public func sum() -> Tensor { reshaped([1, -1, 1]).summedOverTokens().reshaped([1]) }

    /// Mean of all numbers → [1].
    public func mean() -> Tensor { sum().scaled(by: 1 / Float(count)) }
}
