// Eyes, lids, lashes and brows, in each eye's own plane: x outwards, y down, the middle of the eye at the origin.

extension Painter {
    /// How far the lids are open: 1 at rest.
    private func openness(_ side: Float) -> Float {
        switch photo.expression {
        case .neutral: 1
        case .smiling: 0.88
        case .laughing: 0.5
        case .sad: 0.85
        case .surprised: 1.38
        case .angry: 0.76
        case .winking: side > 0 ? 0.92 : 0
        case .sleeping: 0
        }
    }

    /// A point of the front view in the plane of one eye.
    @inline(__always) private func local(_ uv: V2, _ side: Float, _ turn: (sin: Float, cos: Float)) -> V2 {
        let d = V2(uv.x * side - who.eyes.spread, uv.y - who.eyes.height)
        return V2(turn.cos * d.x - turn.sin * d.y, turn.cos * d.y + turn.sin * d.x)
    }

    func eyes() {
        let eye = who.eyes
        let turn = sineAndCosine(eye.tilt)
        let tone = who.skin.tone
        let dark = tone * RGB(0.7, 0.58, 0.56)
        for side: Float in [-1, 1] {
            let box = Canvas.Box(
                centre: V2(side * eye.spread, eye.height), radius: V2(eye.width + 0.1, eye.width + 0.08))
            // Socket, or eye shadow.
            fillFace(box, soft: 0.1, alpha: eye.shadow == nil ? 0.28 : 0.7) { uv in
                ellipse(local(uv, side, turn), V2(0.01, -0.03), V2(eye.width * 0.95, eye.up * 0.8))
            } paint: { _ in
                eye.shadow ?? dark
            }
            let open = openness(side)
            if open == 0 { closed(side, box, turn) } else { opened(side, box, turn, open) }
        }
    }

    private func closed(_ side: Float, _ box: Canvas.Box, _ turn: (sin: Float, cos: Float)) {
        let eye = who.eyes
        let happy = photo.expression == .winking
        fillFace(box) { uv in
            let p = local(uv, side, turn)
            return arc(V2(p.x, happy ? p.y - 0.02 : -(p.y - 0.01)), eye.width, 0.06, 0.026 + 0.008 * eye.lashes)
        } paint: { _ in
            hex(0x2A1D1C)
        }
        lashes(side, box, turn, height: 0, down: !happy)
    }

    private func opened(
        _ side: Float, _ box: Canvas.Box, _ turn: (sin: Float, cos: Float), _ open: Float
    ) {
        let eye = who.eyes
        let (up, down) = (eye.up * open, eye.down * min(open, 1.1))
        let white = scaled(hex(0xFAF6F1), 0.55 + 0.45 * light.bright)
        fillFace(box) { uv in
            lens(local(uv, side, turn), eye.width, up, down)
        } paint: { uv in
            scaled(white, 0.8 + 0.2 * smoothstep(-up, 0, local(uv, side, turn).y))
        }
        // The iris looks where the photo says; its plane is mirrored on the left.
        let look = V2(photo.gaze.x * side * eye.width * 0.42, photo.gaze.y * 0.05 + (up > 0.09 ? 0 : 0.004))
        let radius = eye.iris
        let (rim, inner) = (scaled(eye.colour, 0.45), mix(eye.colour, RGB(repeating: 1), 0.22))
        fillFace(box) { uv in
            let p = local(uv, side, turn)
            return max(lens(p, eye.width, up, down), circle(p, look, radius))
        } paint: { uv in
            let p = local(uv, side, turn) - look
            let r = length(p) / radius
            if r < 0.46 { return hex(0x120D0E) }
            let iris = mix(inner, eye.colour, smoothstep(-0.6, 0.3, -p.y / radius))
            return mix(iris, rim, smoothstep(0.72, 0.95, r))
        }
        let glint = look + V2(-0.3 * radius * side, -0.36 * radius)
        fillFace(box) { uv in
            let p = local(uv, side, turn)
            return max(lens(p, eye.width, up, down), circle(p, glint, radius * 0.33))
        } paint: { _ in
            RGB(repeating: 1)
        }

        // Upper lid with lashes, lower lid, crease.
        let ink = mix(hex(0x241917), who.brows.colour, eye.lashes > 0.4 ? 0 : 0.3)
        fillFace(box) { uv in
            arc(local(uv, side, turn), eye.width + 0.01, up, 0.017 + 0.017 * eye.lashes)
        } paint: { _ in
            ink
        }
        fillFace(box, soft: 0.01, alpha: 0.4) { uv in
            let p = local(uv, side, turn)
            return arc(V2(p.x, -p.y), eye.width * 0.9, down, 0.01)
        } paint: { _ in
            mix(ink, who.skin.tone, 0.4)
        }
        if eye.crease > 0.3 {
            fillFace(box, soft: 0.02, alpha: 0.65 * eye.crease) { uv in
                arc(local(uv, side, turn) + V2(-0.005, 0.035), eye.width * 0.95, up + 0.015, 0.01)
            } paint: { _ in
                who.skin.tone * RGB(0.6, 0.46, 0.43)
            }
        }
        lashes(side, box, turn, height: up, down: false)
    }

    /// A flick at the outer corner.
    private func lashes(
        _ side: Float, _ box: Canvas.Box, _ turn: (sin: Float, cos: Float), height: Float, down: Bool
    ) {
        let eye = who.eyes
        guard eye.lashes > 0.4 else { return }
        let rise: Float = down ? 0.03 : -0.055
        fillFace(box) { uv in
            let p = local(uv, side, turn)
            return min(
                stroke(p, V2(eye.width * 0.85, -height * 0.25), V2(eye.width + 0.06, rise), 0.02, 0.004),
                stroke(p, V2(eye.width * 0.6, -height * 0.6), V2(eye.width + 0.02, rise - height * 0.55), 0.017, 0.004))
        } paint: { _ in
            hex(0x1F1615)
        }
    }

    func brows() {
        let (brow, eye) = (who.brows, who.eyes)
        // Rise of the whole brow, of its inner end, by expression.
        let (rise, inner): (Float, Float) =
            switch photo.expression {
            case .neutral, .sleeping: (0, 0)
            case .smiling, .winking: (0.015, 0)
            case .laughing: (0.035, 0.01)
            case .sad: (0, 0.085)
            case .surprised: (0.1, 0.02)
            case .angry: (-0.045, -0.085)
            }
        let y = eye.height - brow.gap - rise
        for side: Float in [-1, 1] {
            let lift = photo.expression == .winking && side < 0 ? Float(-0.03) : 0
            let start = V2(eye.spread - brow.length * 0.85, y - lift - inner + brow.slant)
            let middle = V2(eye.spread + brow.length * 0.25, y - lift - brow.arch - 0.015)
            let end = V2(eye.spread + brow.length * 1.05, y - lift - brow.slant + 0.03)
            let (thick, colour) = (brow.thickness, brow.colour)
            let box = Canvas.Box(centre: V2(side * eye.spread, y), radius: V2(0.34, 0.26))
            fillFace(box, soft: 0.006) { uv in
                let p = V2(uv.x * side, uv.y)
                return min(
                    stroke(p, start, middle, thick, thick * 0.9), stroke(p, middle, end, thick * 0.9, thick * 0.3))
            } paint: { uv in
                scaled(colour, 0.85 + 0.3 * cellNoise(Int32(uv.x * 60 + uv.y * 25), 0, 7))
            }
        }
    }
}
