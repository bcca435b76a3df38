/// Paints one photo: a canvas, who is in it and under which circumstances. The parts are in the other files of this
/// folder, one for each; each is a method that paints over what is there.
struct Painter {
    let canvas: Canvas
    let who: PersonIdentity
    let photo: PhotoNuisance
    let head: Head
    let map: FaceMap
    let light: Lighting

    init(_ identity: PersonIdentity, _ nuisance: PhotoNuisance, size: Int) {
        canvas = Canvas(size: size)
        (who, photo) = (identity, nuisance)
        head = Head(identity, nuisance)
        map = FaceMap(head, canvas)
        light = Lighting(nuisance.light)
    }

    /// Everything, from back to front.
    func paint() {
        background()
        hairBehind()
        body()
        hairOverShoulders()
        ears(.behindFace)
        face()
        ears(.underHair)
        beard()
        nose()
        mouth()
        eyes()
        hairInFront()
        ears(.overHair)
        brows()
        glasses()
        hat()
        finish()
    }

    /// Fills a shape given in the face's front view, clipped to the head.
    /// - Parameters:
    ///   - distance: signed distance in the front view at (u, v).
    ///   - paint: colour at (u, v).
    ///   - clip: how far beyond the head's outline the shape may reach.
    @inline(__always)
    func fillFace(
        _ box: Canvas.Box, soft: Float = 0, alpha: Float = 1, clip: Float = 0, distance: (V2) -> Float,
        paint: (V2) -> RGB
    ) {
        // The box's corners, edges' and own middle, projected.
        var (low, high) = (V2(repeating: .infinity), V2(repeating: -.infinity))
        for i in 0..<9 {
            let p = head.project(
                V2(mix(box.min.x, box.max.x, Float(i % 3) / 2), mix(box.min.y, box.max.y, Float(i / 3) / 2)))
            low = pointwiseMin(low, p)
            high = pointwiseMax(high, p)
        }
        let extent = canvas.extent(Canvas.Box(low - 0.04, high + 0.04), in: head.frame, margin: soft * head.frame.scale)
        let rows = extent.rows.clamped(to: map.rows)
        let columns = extent.columns.clamped(to: map.columns)
        let (pitch, scale) = (canvas.pitch, head.frame.scale)
        for row in rows {
            let offset = (row - map.rows.lowerBound) * map.columns.count - map.columns.lowerBound
            for column in columns {
                let j = offset + column
                let edge = map.outline[j] - clip
                guard edge * scale < pitch else { continue }
                let uv = map.uv[j]
                let inside = 0.5 - distance(uv) * scale / (pitch * map.stretch[j] + soft * scale)
                guard inside > 0 else { continue }
                let coverage = min(inside, 1) * min(0.5 - edge * scale / pitch, 1)
                guard coverage > 0 else { continue }
                let i = row * canvas.side + column
                canvas.samples[i] = mix(canvas.samples[i], paint(uv), coverage * alpha)
            }
        }
    }

    /// Fills a shape of the head's plane that needs the outline and the front view: hair, beard, skin.
    @inline(__always)
    func fillHead(
        soft: Float = 0, alpha: Float = 1, distance: (_ p: V2, _ uv: V2, _ outline: Float) -> Float,
        paint: (_ p: V2, _ uv: V2) -> RGB
    ) {
        let perUnit = head.frame.scale / (canvas.pitch + soft * head.frame.scale)
        var j = 0
        for row in map.rows {
            for column in map.columns {
                let p = head.frame.toLocal(canvas.point(column, row))
                let coverage = 0.5 - distance(p, map.uv[j], map.outline[j]) * perUnit
                if coverage > 0 {
                    let i = row * canvas.side + column
                    canvas.samples[i] = mix(canvas.samples[i], paint(p, map.uv[j]), min(coverage, 1) * alpha)
                }
                j += 1
            }
        }
    }

    /// Brightness at a point of the head's plane.
    @inline(__always) func shade(_ p: V2) -> Float { light.factor(head.normal(p)) }
}

/// Direction and colour of the light.
struct Lighting: Sendable {
    let direction: SIMD3<Float>
    let shadow: Float
    let bright: Float
    /// Multiplies the whole picture.
    let tint: RGB

    init(_ light: PhotoNuisance.Light) {
        switch light {
        case .even: (direction, shadow, bright, tint) = (SIMD3(-0.25, -0.5, 0.83), 0.74, 1.05, RGB(1, 1, 1))
        case .left: (direction, shadow, bright, tint) = (SIMD3(-0.9, -0.3, 0.32), 0.5, 1.16, RGB(0.97, 0.96, 0.95))
        case .right: (direction, shadow, bright, tint) = (SIMD3(0.9, -0.3, 0.32), 0.5, 1.16, RGB(0.97, 0.96, 0.95))
        case .dim: (direction, shadow, bright, tint) = (SIMD3(-0.25, -0.5, 0.83), 0.66, 1.04, RGB(0.58, 0.58, 0.66))
        case .warm: (direction, shadow, bright, tint) = (SIMD3(0.5, -0.35, 0.79), 0.68, 1.08, RGB(1.06, 0.86, 0.62))
        case .cool: (direction, shadow, bright, tint) = (SIMD3(-0.4, -0.5, 0.77), 0.7, 1.06, RGB(0.85, 0.95, 1.08))
        }
    }

    @inline(__always) func factor(_ normal: SIMD3<Float>) -> Float {
        mix(shadow, bright, smoothstep(-0.75, 0.95, (normal * direction).sum()))
    }
}

extension Painter {
    /// The light's colour, and darker corners.
    func finish() {
        let (light, kind) = (light, photo.light)
        canvas.map { p, colour in
            let corner = 1 - 0.07 * clamp(dot(p, p) - 0.7)
            let side: Float =
                switch kind {
                case .left: 1 - 0.13 * p.x
                case .right: 1 + 0.13 * p.x
                default: 1
                }
            return (colour * light.tint * (corner * side))
                .clamped(lowerBound: RGB(repeating: 0), upperBound: RGB(repeating: 1))
        }
    }
}
