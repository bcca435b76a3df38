// Glasses, in the face's front view.

extension Painter {
    func glasses() {
        let kind = photo.glasses
        guard kind != .none else { return }
        let eye = who.eyes
        let spread = eye.spread + 0.02
        let y = eye.height + 0.02
        let half: V2 =
            switch kind {
            case .round: V2(0.22, 0.22)
            case .square: V2(0.235, 0.165)
            default: V2(0.26, 0.2)
            }
        let lens: (V2) -> Float = { uv in
            let p = V2(abs(uv.x) - spread, uv.y - y)
            switch kind {
            case .round: return circle(p, V2(), half.x)
            case .square: return roundedBox(p, V2(), half, 0.05)
            default: return roundedBox(V2(p.x + 0.1 * p.y, p.y), V2(), half, 0.15)
            }
        }
        let frame = kind == .round ? hex(0x4A3527) : hex(0x1C1C20)
        let box = Canvas.Box(V2(-spread - 0.34, y - 0.3), V2(spread + 0.34, y + 0.3))
        if kind == .sun {
            fillFace(box, alpha: 0.94, distance: lens) { uv in
                let glare = clamp(1 - abs(uv.x * 0.8 - uv.y - (uv.x > 0 ? 0.24 : -0.3)) * 16)
                return mix(
                    mix(hex(0x15161C), hex(0x3D434F), smoothstep(-0.2, 0.25, uv.y - y)), RGB(0.8, 0.88, 0.95),
                    0.4 * glare)
            }
        } else {
            fillFace(box, alpha: 0.16, distance: lens) { _ in hex(0xE6F3FA) }
        }
        let width: Float = kind == .sun ? 0.022 : 0.03
        // The arms reach back to the ears, past the face's edge.
        fillFace(Canvas.Box(V2(-0.95, y - 0.4), V2(0.95, y + 0.4)), clip: 0.02) { uv in
            let x = abs(uv.x)
            let rim = abs(lens(uv)) - width
            let bridge = arc(V2(uv.x, uv.y - y + 0.02), max(spread - half.x, 0.05), 0.04, 0.03)
            let arm = stroke(V2(x, uv.y - y), V2(spread + half.x, -0.05), V2(1, -0.02), 0.026, 0.026)
            return min(min(rim, bridge), arm)
        } paint: { _ in
            frame
        }
    }
}
