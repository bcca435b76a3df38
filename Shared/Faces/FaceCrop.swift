public import ImageIO

/// How a face is cut out of a picture, for ``InceptionResnetV1``: facenet-pytorch's `extract_face`.
///
/// The box of ``MTCNN`` grows by `margin` pixels of the result (half on each side), is cut at the picture's edges and to whole
/// pixels, and what it holds becomes a square of `side` pixels (Pillow's bilinear filter, antialiased). A box that is not
/// square is thereby stretched.
public struct FaceCrop: Sendable {
    /// Side of the result in pixels.
    public var side = InceptionResnetV1.side
    /// Pixels of the result that show what is around the box; facenet-pytorch's default is none.
    public var margin = 0

    /// facenet-pytorch's defaults.
    public init() {}

    /// The face's square; nil where the box holds no pixel of the picture.
    public func callAsFunction(_ face: DetectedFace, in image: RGBImage) -> RGBImage? {
        let box = face.box
        let share = Float(margin) / Float(side - margin)
        let (dx, dy) = (share * (box[2] - box[0]) / 2, share * (box[3] - box[1]) / 2)
        guard [box[0], box[1], box[2], box[3]].allSatisfy({ abs($0) < 1e9 }) else { return nil }
        let (left, top) = (Int(max(box[0] - dx, 0)), Int(max(box[1] - dy, 0)))
        let right = Int(min(box[2] + dx, Float(image.width)))
        let bottom = Int(min(box[3] + dy, Float(image.height)))
        guard left < right, top < bottom else { return nil }
        return image.cropped(x: left, y: top, width: right - left, height: bottom - top)
            .resized(width: side, height: side, filter: .bilinear)
    }
}

/// How a face is turned and cut out for ``IResNet``: insightface's `norm_crop`. The five landmarks are moved as near as
/// possible to fixed places of a 112×112 picture by turning, scaling and shifting (Umeyama 1991); pixels between pixels are
/// interpolated bilinearly, and outside the picture it is black.
public enum FaceAlignment {
    /// Where eyes, nose and the corners of the mouth belong (insightface `face_align.py`, `arcface_dst`).
    static let places: [SIMD2<Double>] = [
        .init(38.2946, 51.6963), .init(73.5318, 51.5014), .init(56.0252, 71.7366), .init(41.5493, 92.3655),
        .init(70.7299, 92.2041),
    ]

    /// The aligned face of 112×112; nil where the landmarks are all in one place.
    public static func aligned(_ face: DetectedFace, in image: RGBImage) -> RGBImage? {
        let from = face.landmarks.map { SIMD2<Double>($0) }
        guard from.count == places.count else { return nil }
        let count = Double(from.count)
        let (a, b) = (from.reduce(.zero, +) / count, places.reduce(.zero, +) / count)
        // In complex numbers, place = turn · landmark + shift, by least squares.
        var (turn, spread) = (SIMD2<Double>.zero, 0.0)
        for (p, q) in zip(from, places) {
            let (p, q) = (p - a, q - b)
            turn += SIMD2(p.x * q.x + p.y * q.y, p.x * q.y - p.y * q.x)
            spread += p.x * p.x + p.y * p.y
        }
        guard spread > 0, turn != .zero else { return nil }
        turn /= spread
        let size = turn.x * turn.x + turn.y * turn.y
        let side = IResNet.side
        var out = RGBImage(width: side, height: side, colour: .zero)
        for y in 0..<side {
            for x in 0..<side {
                // Back to the picture: (place − b) / turn + a.
                let d = SIMD2(Double(x), Double(y)) - b
                let source = SIMD2(d.x * turn.x + d.y * turn.y, d.y * turn.x - d.x * turn.y) / size + a
                out[x, y] = image.interpolated(source)
            }
        }
        return out
    }
}

extension RGBImage {
    /// The colour between four pixels; black outside.
    fileprivate func interpolated(_ place: SIMD2<Double>) -> SIMD3<UInt8> {
        let corner = place.rounded(.down)
        guard abs(corner.x) < 1e9, abs(corner.y) < 1e9 else { return .zero }
        let (x, y, share) = (Int(corner.x), Int(corner.y), place - corner)
        func at(_ x: Int, _ y: Int) -> SIMD3<Double> {
            guard (0..<width).contains(x), (0..<height).contains(y) else { return .zero }
            return SIMD3<Double>(self[x, y])
        }
        let top = at(x, y) * (1 - share.x) + at(x + 1, y) * share.x
        let bottom = at(x, y + 1) * (1 - share.x) + at(x + 1, y + 1) * share.x
        let mixed = top * (1 - share.y) + bottom * share.y
        return SIMD3<UInt8>(mixed.rounded(.toNearestOrEven))
    }
}
