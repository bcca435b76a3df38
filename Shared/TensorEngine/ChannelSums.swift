internal import CKernels

/// Each channel's sum, and that of its squares, over each picture of a tensor [N, ..., C]: [N, 2, C], in double, from which
/// GroupNorm has its means. A convolution that takes them of what it writes saves GroupNorm a walk through memory.
struct ChannelSums: Sendable {
    let n, channels: Int
    let memory: Storage

    /// Uninitialised.
    init(n: Int, channels: Int) {
        (self.n, self.channels) = (n, channels)
        memory = Storage(count: n * 2 * channels * MemoryLayout<Double>.stride / MemoryLayout<Float>.stride)
    }

    /// Taken of `x`.
    init(of x: Tensor) {
        self.init(n: x.shape[0], channels: x.shape[x.shape.count - 1])
        withExtendedLifetime(x.storage) { lk_channel_sums(pointer, x.pointer, n, x.count / n / channels, channels) }
    }

    /// Of two tensors joined along the last axis.
    init(_ a: ChannelSums, _ b: ChannelSums) {
        self.init(n: a.n, channels: a.channels + b.channels)
        for row in 0..<2 * n {
            let to = pointer + row * channels
            to.update(from: a.pointer + row * a.channels, count: a.channels)
            (to + a.channels).update(from: b.pointer + row * b.channels, count: b.channels)
        }
    }

    /// Valid while `memory` is.
    var pointer: UnsafeMutablePointer<Double> {
        UnsafeMutableRawPointer(memory.base).bindMemory(to: Double.self, capacity: n * 2 * channels)
    }
}

extension Tensor {
    /// Those that whoever wrote these numbers has taken, if this is all of them in the shape that they had.
    var channelSums: ChannelSums? {
        guard let sums = storage.channelSums, count == storage.count else { return nil }
        return sums.n == shape[0] && sums.channels == shape[shape.count - 1] ? sums : nil
    }
}
