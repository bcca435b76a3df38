/// A square of colour samples, two by two for each pixel of the picture, over the plane −1 … 1 (x right, y down).
/// Shapes are given by signed distances (negative inside), so that a picture is the same at every size.
///
/// A class that owns its memory: the painter's shapes read the painter while they are drawn, which a value that is being
/// changed would forbid. It lives inside one call of `render`.
final class Canvas {
    /// Samples along a side.
    let side: Int
    /// Width of a sample in the plane.
    let pitch: Float
    let samples: UnsafeMutableBufferPointer<RGB>

    static let samplesPerPixel = 2

    init(size: Int) {
        side = size * Self.samplesPerPixel
        pitch = 2 / Float(side)
        samples = .allocate(capacity: side * side)
        samples.initialize(repeating: RGB(repeating: 1))
    }

    deinit { samples.deallocate() }

    /// Where the shapes of a part lie in the picture: local = rotation and scale of picture coordinates.
    struct Frame {
        /// Of the local origin, in the picture.
        var origin: V2
        /// Length of a local unit in the picture.
        var scale: Float
        /// Sine and cosine of the turn, clockwise.
        var turn: (sin: Float, cos: Float) = (0, 1)

        @inline(__always) func toPicture(_ p: V2) -> V2 {
            origin + scale * V2(turn.cos * p.x - turn.sin * p.y, turn.sin * p.x + turn.cos * p.y)
        }

        @inline(__always) func toLocal(_ q: V2) -> V2 {
            let d = (q - origin) / scale
            return V2(turn.cos * d.x + turn.sin * d.y, turn.cos * d.y - turn.sin * d.x)
        }
    }

    /// A rectangle of a local plane that holds a shape, so that only its samples are visited.
    struct Box {
        var min: V2
        var max: V2

        init(_ min: V2, _ max: V2) { (self.min, self.max) = (min, max) }

        init(centre: V2, radius: V2) { (min, max) = (centre - radius, centre + radius) }
    }

    /// Rows and columns of the samples that a box can touch.
    func extent(_ box: Box, in frame: Frame, margin: Float = 0) -> (rows: Range<Int>, columns: Range<Int>) {
        let corners = [
            box.min, box.max, V2(box.min.x, box.max.y), V2(box.max.x, box.min.y),
        ].map { frame.toPicture($0) }
        var (low, high) = (corners[0], corners[0])
        for corner in corners {
            low = pointwiseMin(low, corner)
            high = pointwiseMax(high, corner)
        }
        let reach = margin + 2 * pitch
        func index(_ x: Float) -> Int { Int(clamp((x + 1) / pitch, 0, Float(side))) }
        let (top, left) = (index(low.y - reach), index(low.x - reach))
        return (top..<max(top, index(high.y + reach)), left..<max(left, index(high.x + reach)))
    }

    /// The point of the plane that a sample stands for.
    @inline(__always) func point(_ column: Int, _ row: Int) -> V2 {
        V2(Float(column) + 0.5, Float(row) + 0.5) * pitch - 1
    }

    /// Fills a shape.
    /// - Parameters:
    ///   - box: holds the shape, in the frame's units.
    ///   - soft: width of the edge in the frame's units, beyond antialiasing.
    ///   - distance: signed distance to the edge, in the frame's units.
    ///   - paint: colour at a point of the frame.
    @inline(__always)
    func fill(
        _ frame: Frame, _ box: Box, soft: Float = 0, alpha: Float = 1, distance: (V2) -> Float, paint: (V2) -> RGB
    ) {
        let (rows, columns) = extent(box, in: frame, margin: soft * frame.scale)
        let perUnit = frame.scale / (pitch + soft * frame.scale)
        for row in rows {
            for column in columns {
                let p = frame.toLocal(point(column, row))
                let coverage = 0.5 - distance(p) * perUnit
                guard coverage > 0 else { continue }
                let i = row * side + column
                samples[i] = mix(samples[i], paint(p), min(coverage, 1) * alpha)
            }
        }
    }

    /// Fills a shape with one colour.
    @inline(__always)
    func fill(
        _ frame: Frame, _ box: Box, _ colour: RGB, soft: Float = 0, alpha: Float = 1, distance: (V2) -> Float
    ) {
        fill(frame, box, soft: soft, alpha: alpha, distance: distance) { _ in colour }
    }

    /// Changes every sample.
    @inline(__always)
    func map(_ change: (V2, RGB) -> RGB) {
        for row in 0..<side {
            for column in 0..<side {
                let i = row * side + column
                samples[i] = change(point(column, row), samples[i])
            }
        }
    }

    /// The picture's bytes, red, green, blue for each pixel, row by row.
    func bytes() -> [UInt8] {
        let n = Self.samplesPerPixel
        let size = side / n
        var bytes = [UInt8]()
        bytes.reserveCapacity(size * size * 3)
        for y in 0..<size {
            for x in 0..<size {
                var sum = RGB(repeating: 0)
                for row in 0..<n {
                    for column in 0..<n { sum += samples[(y * n + row) * side + x * n + column] }
                }
                let mean = (sum * (255 / Float(n * n)) + 0.5)
                    .clamped(lowerBound: RGB(repeating: 0), upperBound: RGB(repeating: 255))
                bytes.append(UInt8(mean.x))
                bytes.append(UInt8(mean.y))
                bytes.append(UInt8(mean.z))
            }
        }
        return bytes
    }
}
