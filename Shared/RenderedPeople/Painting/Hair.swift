// Hair on the head: where it starts on the forehead, how far it stands off the skull, how it shines.

extension Painter {
    /// Under a hat, hair is seen below this height only.
    var hatLine: Float { -0.36 }

    /// Colour of hair at a point of the head's plane: strands along the fall of the hair, a band of gloss on top.
    @inline(__always) func strand(_ p: V2, dark: Float = 1) -> RGB {
        let hair = who.hair
        let flow = p.x * 15 + p.y * (3 + 2 * hair.side) * (p.x < 0 ? -1 : 1) * 0.5
        let streak =
            isCurly
            ? wave(p.x * 2.7 + 0.45 * wave(p.y * 1.7 + 0.2)) * wave(p.y * 2.5 + 0.45 * wave(p.x * 1.9))
            : lineNoise(flow, hair.pattern)
        let ring = length(p - V2(-0.12, 0.05)) - 0.86
        let gloss = clamp(1 - abs(ring) * 6) * smoothstep(0.1, -0.5, p.y) * (0.5 + 0.5 * streak)
        let base = scaled(hair.colour, shade(p) * dark * (0.98 + 0.1 * streak))
        return mix(base, RGB(repeating: 1), 0.2 * gloss)
    }

    /// What of a shape is below the hat, with a round edge.
    @inline(__always) func underHat(_ shape: Float, _ above: Float) -> Float { -blend(-shape, -above, 0.3) }

    private var isCurly: Bool { [.afro, .curly, .ringlets].contains(who.hair.style) }

    /// A number from −2 to 2 that goes once around the head, 0 at the crown.
    @inline(__always) private func around(_ p: V2) -> Float {
        let sum = abs(p.x) + abs(p.y) + 1e-4
        if p.y < 0 { return p.x / sum }
        return (p.x < 0 ? -1 : 1) * (2 - abs(p.x) / sum)
    }

    /// How far hair stands off the head's outline.
    @inline(__always) private func volume(_ p: V2) -> Float {
        let hair = who.hair
        let top = smoothstep(0.05, -0.75, p.y)
        let x = p.x + head.yaw.sin * 0.12
        switch hair.style {
        case .bald: return -1
        case .buzz: return 0.015
        case .receding: return 0.025 + 0.02 * top
        case .crop: return 0.03 + (0.05 + 0.3 * hair.volume) * top
        case .sidePart: return 0.03 + top * (0.08 + 0.5 * hair.volume) * (1 - 0.5 * hair.side * x)
        case .quiff:
            let lift = smoothstep(-0.9, 0.35, hair.side * x) * smoothstep(1, 0.45, hair.side * x)
            return 0.03 + top * (0.05 + (0.16 + 0.9 * hair.volume) * lift)
        case .spiky:
            let t = around(p) * 4.2 + 0.3
            let tooth = 1 - abs(2 * (t - t.rounded(.down)) - 1)
            return 0.02 + smoothstep(-0.1, -0.6, p.y) * (0.04 + (0.14 + 0.6 * hair.volume) * tooth)
        case .mohawk:
            let t = (p.y + p.x * 0.4) * 2.6
            let fan = max(1 - x * x / 0.09, 0)
            return 0.01 + (0.3 + hair.volume) * fan * top + 0.03 * wave(t) * top
        case .curly:
            return 0.06 + hair.volume * (0.4 + 0.8 * top) + 0.05
                * abs(wave(around(p) * 2.6 + 0.2 * wave(around(p) * 1.3)))
        case .afro: return 0.22 + hair.volume + 0.1 * top + 0.025 * abs(wave(around(p) * 5))
        case .bowl: return 0.06 + 0.5 * hair.volume
        case .ringlets: return 0.08 + 0.6 * hair.volume + 0.035 * abs(wave(around(p) * 5))
        case .wavy: return 0.05 + 0.6 * hair.volume
        case .bun, .spaceBuns, .ponytail, .pigtails, .braids: return 0.03 + 0.25 * hair.volume
        case .pixie: return 0.04 + (0.04 + 0.4 * hair.volume) * top
        case .bob, .straight, .fringe: return 0.05 + 0.5 * hair.volume
        }
    }

    /// Signed distance to the hair's edge on the face, in the front view: what is above the hairline, or at the sides.
    @inline(__always) private func hairline(_ uv: V2) -> Float {
        let (hair, w) = (who.hair, who.face.width)
        let (u, line) = (uv.x / w, hair.line)
        let q = abs(u)
        let swept = smoothstep(-0.75, 0.85, -hair.side * u)
        // Lower edge of the front, and how far down and in the sides come.
        let front: Float
        var (bottom, inset): (Float, Float) = (0.08, 0.86)
        switch hair.style {
        case .bald: return 1
        case .buzz:
            front = line + 0.3 * q * q
            bottom = 0.02
        case .receding:
            front = line - 0.12 + 0.1 * smoothstep(0.25, 0, q) - 0.25 * smoothstep(0.2, 0.6, q)
            (bottom, inset) = (0.06, 0.87)
        case .crop: front = line + 0.04 + 0.12 * q * q + 0.015 * lineNoise(uv.x * 22, hair.pattern)
        case .sidePart: front = line + 0.02 + 0.24 * swept * swept
        case .quiff: front = line - 0.03 + 0.14 * q * q
        case .spiky:
            let t = u * 3.2
            front = line + 0.04 + 0.14 * (1 - abs(2 * (t - t.rounded(.down)) - 1)) * (1 - 0.6 * q)
        case .mohawk:
            front = q < 0.28 ? line + 0.1 : -2
            (bottom, inset) = (-2, 0.98)
        case .bowl:
            front = who.eyes.height - who.brows.gap - 0.05 + 0.03 * q
            (bottom, inset) = (0.1, 0.82)
        case .curly, .afro:
            front = line + 0.03 + 0.2 * q * q + 0.045 * abs(wave(u * 2.6))
            (bottom, inset) = (0.16, 0.87)
        case .pixie:
            front = line + 0.02 + 0.36 * swept
            (bottom, inset) = (0.18, 0.82)
        case .bob:
            front = line + 0.02 + 0.34 * swept * swept
            (bottom, inset) = (2, 0.82)
        case .fringe:
            let t = u * 4
            let tip = 0.02 * abs(2 * (t - t.rounded(.down)) - 1)
            front = who.eyes.height - who.brows.gap * 0.8 + tip + 0.06 * q * q
            (bottom, inset) = (2, 0.82)
        case .straight, .wavy:
            front = line - 0.05 + 0.42 * q
            (bottom, inset) = (2, 0.82)
        case .ringlets:
            front = line + 0.34 * q * q + 0.04 * abs(wave(u * 2.6))
            (bottom, inset) = (2, 0.84)
        case .bun, .ponytail: front = line + 0.3 * q * q * q
        case .spaceBuns, .pigtails, .braids: front = line - 0.04 + 0.3 * q
        }
        let sides = max((inset - q) * w, uv.y - bottom)
        return blend(uv.y - front, sides, 0.16)
    }

    func hairInFront() {
        let style = who.hair.style
        guard style != .bald else { return stubbleOfTheHead(0.12) }
        if style == .mohawk { stubbleOfTheHead(0.3) }
        let (covered, line) = (photo.hat != nil, hatLine)
        // Its shadow on the forehead.
        fillHead(soft: 0.06, alpha: 0.3) { p, uv, outline in
            max(outline, hairline(uv - V2(0.01, 0.05)))
        } paint: { _, _ in
            who.skin.tone * RGB(0.55, 0.42, 0.4)
        }
        fillHead(
            alpha: style == .buzz ? 0.82 : 1,
            distance: { p, uv, outline in
                let d = max(outline - volume(p), hairline(uv))
                return covered ? underHat(d, line - p.y) : d
            }, paint: { p, _ in strand(p) })
        if style == .sidePart || style == .bob || style == .pixie { parting() }
    }

    /// Shaved or bald: a tint where hair would grow.
    private func stubbleOfTheHead(_ alpha: Float) {
        let (w, line) = (who.face.width, who.hair.line)
        fillHead(soft: 0.1, alpha: alpha) { _, uv, outline in
            let q = abs(uv.x) / w
            return max(outline, blend(uv.y - line - 0.2 * q * q, max((0.88 - q) * w, uv.y - 0.05), 0.15))
        } paint: { p, _ in
            strand(p)
        }
        guard who.hair.style == .bald else { return }
        fillHead(soft: 0.16, alpha: 0.32) { p, _, _ in
            ellipse(p, V2(-0.2 + head.yaw.sin * 0.2, -0.68), V2(0.2, 0.09))
        } paint: { _, _ in
            mix(who.skin.tone, RGB(repeating: 1), 0.7)
        }
    }

    private func parting() {
        let (hair, w) = (who.hair, who.face.width)
        let from = V2(hair.side * w * 0.42, hair.line - 0.02)
        let to = V2(hair.side * w * 0.3, hair.line - 0.28)
        guard photo.hat == nil else { return }
        fillFace(Canvas.Box(V2(-w, -1), V2(w, 0)), soft: 0.015, alpha: 0.7) { uv in
            stroke(uv, from, to, 0.014, 0.004)
        } paint: { _ in
            scaled(hair.colour, 0.6)
        }
    }
}
