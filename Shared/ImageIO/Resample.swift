import Foundation

/// The filters of Pillow's `Image.resize`.
public enum ResampleFilter: Sendable {
    case box, bilinear, bicubic, lanczos

    /// Half the filter's width, in source pixels at scale 1.
    var support: Double {
        switch self {
        case .box: 0.5
        case .bilinear: 1
        case .bicubic: 2
        case .lanczos: 3
        }
    }

    func callAsFunction(_ x: Double) -> Double {
        let x = abs(x)
        switch self {
        case .box: return x <= 0.5 ? 1 : 0
        case .bilinear: return max(0, 1 - x)
        case .bicubic:  // Keys' cubic convolution with a = -1/2
            if x < 1 { return (1.5 * x - 2.5) * x * x + 1 }
            return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0
        case .lanczos:
            func sinc(_ x: Double) -> Double { x == 0 ? 1 : sin(.pi * x) / (.pi * x) }
            return x < 3 ? sinc(x) * sinc(x / 3) : 0
        }
    }
}

/// What each output pixel of one axis is made of: source pixels from `first`, with whole-number weights.
///
/// Matches Pillow's 8-bit resampling: the support widens when shrinking (antialiasing), weights are rounded to 22
/// fractional bits, sums are rounded and clipped after each axis.
private struct ResampleAxis {
    static let bits = 22
    var first: [Int] = []
    var weights: [[Int]] = []
    /// The weights before they are rounded.
    var exact: [[Double]] = []

    init(from size: Int, to length: Int, _ filter: ResampleFilter) {
        let scale = Double(size) / Double(length)
        let stretch = max(scale, 1)
        let support = filter.support * stretch
        for i in 0..<length {
            let centre = (Double(i) + 0.5) * scale
            let low = max(0, Int(centre - support + 0.5))
            let high = min(size, Int(centre + support + 0.5))
            let raw = (low..<high).map { filter((Double($0) - centre + 0.5) / stretch) }
            let total = raw.reduce(0, +)
            first.append(low)
            exact.append(raw.map { $0 / total })
            weights.append(raw.map { Int(($0 / total * Double(1 << Self.bits)).rounded(.toNearestOrAwayFromZero)) })
        }
    }
}

extension RGBImage {
    /// Resized as Pillow's `Image.resize` does it, level for level.
    public func resized(width: Int, height: Int, filter: ResampleFilter = .bicubic) -> RGBImage {
        precondition(width > 0 && height > 0, "a picture cannot be \(width)×\(height)")
        var image = self
        if width != self.width {
            image = image.resampled(ResampleAxis(from: self.width, to: width, filter), rows: false)
        }
        if height != self.height {
            image = image.resampled(ResampleAxis(from: self.height, to: height, filter), rows: true)
        }
        return image
    }

    /// One axis: each output pixel is a weighted sum of pixels `stride` bytes apart.
    private func resampled(_ axis: ResampleAxis, rows: Bool) -> RGBImage {
        let (outWidth, outHeight) = rows ? (width, axis.first.count) : (axis.first.count, height)
        var out = [UInt8](repeating: 0, count: outWidth * outHeight * 3)
        let stride = rows ? width * 3 : 3
        for y in 0..<outHeight {
            for x in 0..<outWidth {
                let place = rows ? y : x
                let start = rows ? (axis.first[place] * width + x) * 3 : (y * width + axis.first[place]) * 3
                for channel in 0..<3 {
                    var sum = 1 << (ResampleAxis.bits - 1)
                    var at = start + channel
                    for weight in axis.weights[place] {
                        sum += weight * Int(pixels[at])
                        at += stride
                    }
                    out[(y * outWidth + x) * 3 + channel] = UInt8(clamping: sum >> ResampleAxis.bits)
                }
            }
        }
        return RGBImage(width: outWidth, height: outHeight, pixels: out)
    }

    /// Levels of the picture resized without rounding them, as Pillow does it for pictures of floats (mode `F`), limited to
    /// 0 … 255: `height` x `width` x 3 numbers.
    public func resizedLevels(width: Int, height: Int, filter: ResampleFilter) -> [Float] {
        precondition(width > 0 && height > 0, "a picture cannot be \(width)×\(height)")
        let columns = ResampleAxis(from: self.width, to: width, filter)
        let rows = ResampleAxis(from: self.height, to: height, filter)
        var wide = [Float](repeating: 0, count: self.height * width * 3)
        for y in 0..<self.height {
            for x in 0..<width {
                for channel in 0..<3 {
                    var sum = 0.0
                    for (i, weight) in columns.exact[x].enumerated() {
                        sum += weight * Double(pixels[(y * self.width + columns.first[x] + i) * 3 + channel])
                    }
                    wide[(y * width + x) * 3 + channel] = Float(sum)
                }
            }
        }
        var out = [Float](repeating: 0, count: height * width * 3)
        for y in 0..<height {
            for place in 0..<width * 3 {
                var sum = 0.0
                for (i, weight) in rows.exact[y].enumerated() {
                    sum += weight * Double(wide[(rows.first[y] + i) * width * 3 + place])
                }
                out[y * width * 3 + place] = min(max(Float(sum), 0), 255)
            }
        }
        return out
    }

    /// The rectangle at (x, y), which must lie inside.
    public func cropped(x: Int, y: Int, width: Int, height: Int) -> RGBImage {
        precondition(
            x >= 0 && y >= 0 && x + width <= self.width && y + height <= self.height, "crop outside the picture")
        var out: [UInt8] = []
        out.reserveCapacity(width * height * 3)
        for row in y..<y + height {
            let start = (row * self.width + x) * 3
            out += pixels[start..<start + width * 3]
        }
        return RGBImage(width: width, height: height, pixels: out)
    }

    /// CLIP's view: the shorter side resized to `size` (the other to int(size · long / short)), then the centre.
    public func clipCrop(size: Int) -> RGBImage {
        let (w, h) = width <= height ? (size, size * height / width) : (size * width / height, size)
        let small = resized(width: w, height: h)
        return small.cropped(x: (w - size) / 2, y: (h - size) / 2, width: size, height: size)
    }
}
