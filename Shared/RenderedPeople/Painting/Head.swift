/// The turned head: how points of the face, seen from the front, lie in the picture.
///
/// The head is a ball of half axes `W` × `H`. A point (u, v) of the face's front view sits on it; yaw and pitch turn the
/// ball; what is seen is its parallel projection. Features are drawn in (u, v) and so move, narrow and curve with it.
struct Head: Sendable {
    let frame: Canvas.Frame
    let face: PersonIdentity.Face
    let yaw: (sin: Float, cos: Float)
    let pitch: (sin: Float, cos: Float)
    /// Half axes of the ball, somewhat larger than the face, whose edge so stays on the ball's front.
    let axes: V2

    init(_ identity: PersonIdentity, _ nuisance: PhotoNuisance) {
        frame = Canvas.Frame(
            origin: nuisance.centre, scale: nuisance.scale, turn: sineAndCosine(nuisance.roll))
        face = identity.face
        (yaw, pitch) = (sineAndCosine(nuisance.yaw), sineAndCosine(nuisance.pitch))
        axes = V2(face.width * 1.16, 1.2)
    }

    /// From the face's front view to the head's plane. `out`: how far the point stands out of the ball.
    func project(_ uv: V2, out: Float = 0) -> V2 {
        let q = uv / axes
        let z = max(1 - dot(q, q), 0).squareRoot() + out
        let x = q.x * yaw.cos + z * yaw.sin
        let depth = z * yaw.cos - q.x * yaw.sin
        return V2(x, q.y * pitch.cos - depth * pitch.sin) * axes
    }

    /// From the head's plane to the face's front view; `stretch`: lengths there for one here, sideways.
    @inline(__always) func unproject(_ p: V2) -> (uv: V2, stretch: Float) {
        let q = p / axes
        let z = max(1 - dot(q, q), 0.02).squareRoot()
        let depth = z * pitch.cos - q.y * pitch.sin
        let y = q.y * pitch.cos + z * pitch.sin
        let x = q.x * yaw.cos - depth * yaw.sin
        return (V2(x, y) * axes, clamp(yaw.cos + q.x / z * yaw.sin, 0.6, 2))
    }

    /// Direction that the surface faces, for light.
    @inline(__always) func normal(_ p: V2) -> SIMD3<Float> {
        let q = p / axes
        let square = dot(q, q)
        if square >= 1 { return SIMD3(q.x, q.y, 0) / square.squareRoot() }
        return SIMD3(q.x, q.y, (1 - square).squareRoot())
    }

    /// Signed distance to the outline of head and jaw, in the head's plane. Turning moves the jaw, which lies in front,
    /// with the turn, and the back of the skull against it.
    @inline(__always) func outline(_ p: V2) -> Float {
        let low = smoothstep(-0.15, 1.05, p.y)
        let x = p.x - yaw.sin * (0.34 * low * axes.x - 0.1 * (1 - low))
        let y = p.y + pitch.sin * 0.14 * low
        let width = face.width * (1 - face.taper * low)
        let (sx, square) = (x / width, face.square * smoothstep(0.05, 0.7, p.y))
        let (xx, yy) = (sx * sx, y * y)
        let f = (1 - square) * xx + square * xx * xx + 0.85 * yy + 0.15 * yy * yy - 1
        let gx = 2 * sx * (1 - square + 2 * square * xx) / width
        let gy = 2 * y * (0.85 + 0.3 * yy)
        return f / max((gx * gx + gy * gy).squareRoot(), 0.5)
    }
}

/// What of the head is needed at every sample, computed once.
struct FaceMap: Sendable {
    let rows: Range<Int>
    let columns: Range<Int>
    /// Place in the face's front view.
    var uv: [V2]
    var stretch: [Float]
    /// Signed distance to the head's outline.
    var outline: [Float]

    init(_ head: Head, _ canvas: Canvas) {
        let reach = V2(1.5, 1.7)
        (rows, columns) = canvas.extent(Canvas.Box(-reach, reach), in: head.frame)
        let count = rows.count * columns.count
        (uv, stretch, outline) = ([], [], [])
        uv.reserveCapacity(count)
        stretch.reserveCapacity(count)
        outline.reserveCapacity(count)
        for row in rows {
            for column in columns {
                let p = head.frame.toLocal(canvas.point(column, row))
                let place = head.unproject(p)
                uv.append(place.uv)
                stretch.append(place.stretch)
                outline.append(head.outline(p))
            }
        }
    }
}
