/// A rectangle that may be a face. Single precision throughout, as in facenet-pytorch: roundings decide which box survives.
struct FaceBox: Sendable {
    /// Left, top, right, bottom in pixels.
    var edges: SIMD4<Float>
    /// How likely it is a face, 0 … 1.
    var score: Float
    /// How the network that scored it would move its edges, in widths and heights.
    var offsets: SIMD4<Float>

    var left: Float { edges[0] }
    var top: Float { edges[1] }
    var right: Float { edges[2] }
    var bottom: Float { edges[3] }

    /// The square of the same centre and the longer side (`rerec`).
    func squared() -> FaceBox {
        var box = self
        let (w, h) = (right - left, bottom - top)
        let side = max(w, h)
        let (x, y) = (left + w * 0.5 - side * 0.5, top + h * 0.5 - side * 0.5)
        box.edges = SIMD4(x, y, x + side, y + side)
        return box
    }

    /// With its offsets applied (`bbreg`).
    func moved() -> FaceBox {
        var box = self
        let (w, h) = (right - left + 1, bottom - top + 1)
        box.edges += offsets * SIMD4(w, h, w, h)
        return box
    }

    /// The pixels that it covers: edges count from 1, both ends included (`pad`); nil if none are in the picture.
    func pixels(height: Int, width: Int) -> (rows: Range<Int>, columns: Range<Int>)? {
        guard [left, top, right, bottom].allSatisfy({ abs($0) < 1e9 }) else { return nil }
        let (x, y) = (max(Int(left), 1), max(Int(top), 1))
        let (endX, endY) = (min(Int(right), width), min(Int(bottom), height))
        guard endX > x - 1, endY > y - 1 else { return nil }
        return (y - 1..<endY, x - 1..<endX)
    }

    // MARK: Non-maximum suppression

    /// What overlap is measured by.
    enum Measure {
        /// Intersection over union, of areas right − left (torchvision's `nms`).
        case union
        /// Intersection over the smaller area, of areas right − left + 1 (facenet-pytorch's "Min").
        case smaller
    }

    /// The best boxes, in order of score, without those that overlap a better one by more than `limit`.
    static func suppressed(_ boxes: [FaceBox], above limit: Float) -> [FaceBox] {
        survivors(boxes, above: limit, .union).map { boxes[$0] }
    }

    /// As ``suppressed(_:above:)``, by index.
    static func survivors(_ boxes: [FaceBox], above limit: Float, _ measure: Measure) -> [Int] {
        let order = boxes.indices.sorted { a, b in
            boxes[a].score == boxes[b].score ? a < b : boxes[a].score > boxes[b].score
        }
        let more: Float = measure == .smaller ? 1 : 0
        func area(_ box: FaceBox) -> Float { (box.right - box.left + more) * (box.bottom - box.top + more) }
        var alive = [Bool](repeating: true, count: boxes.count)
        var kept: [Int] = []
        for (place, i) in order.enumerated() where alive[i] {
            kept.append(i)
            let (a, ownArea) = (boxes[i], area(boxes[i]))
            for j in order[(place + 1)...] where alive[j] {
                let b = boxes[j]
                let w = max(0, min(a.right, b.right) - max(a.left, b.left) + more)
                let h = max(0, min(a.bottom, b.bottom) - max(a.top, b.top) + more)
                let overlap = w * h
                let whole = measure == .smaller ? min(ownArea, area(b)) : ownArea + area(b) - overlap
                if overlap / whole > limit { alive[j] = false }
            }
        }
        return kept
    }
}
