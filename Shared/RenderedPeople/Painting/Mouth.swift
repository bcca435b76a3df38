// Mouth and beard, in the face's front view.

extension Painter {
    /// The mouth of one expression: factors of the person's own width, and its curve and opening in head units.
    private struct Shape {
        var width: Float = 1
        /// How much the corners rise above the middle.
        var curve: Float = 0
        var open: Float = 0
        var teeth = false
    }

    private var shape: Shape {
        switch photo.expression {
        case .neutral, .sleeping: Shape(curve: 0.012)
        case .smiling: Shape(width: 1.24, curve: 0.105, open: 0.055, teeth: true)
        case .laughing: Shape(width: 1.36, curve: 0.13, open: 0.19, teeth: true)
        case .sad: Shape(width: 0.92, curve: -0.1)
        case .surprised: Shape(width: 0.62, curve: 0, open: 0.17)
        case .angry: Shape(width: 0.98, curve: -0.055)
        case .winking: Shape(width: 1.2, curve: 0.1)
        }
    }

    func mouth() {
        let (mouth, shape, tone) = (who.mouth, shape, who.skin.tone)
        let w = mouth.width * shape.width
        let y = mouth.height - shape.open * 0.25
        let (upper, lower, bow, open) = (mouth.upper, mouth.lower, mouth.bow, shape.open)
        let box = Canvas.Box(V2(-w - 0.08, y - 0.3), V2(w + 0.08, y + 0.42))
        // Heights of the edges over x: lip, opening, opening, lip.
        func edges(_ x: Float) -> (SIMD4<Float>, inside: Float) {
            let t = clamp(x / w, -1, 1)
            let e = 1 - t * t
            let middle = y + shape.curve * (e - 0.5)
            // An open round mouth is an ellipse, others taper to the corners.
            let gape = shape.width < 0.8 ? e.squareRoot() : e
            let (from, to) = (middle - open * 0.3 * gape, middle + open * 0.7 * gape)
            let notch = bow * 0.5 * max(1 - abs(t) / 0.35, 0)
            let top = from - upper * (e.squareRoot() - notch * e)
            return (SIMD4(top, from, to, to + lower * e.squareRoot()), abs(x) - w)
        }
        let (lips, dark) = (mouth.colour, mouth.colour * RGB(0.42, 0.3, 0.32))
        fillFace(box, soft: 0.008) { uv in
            let (edge, beyond) = edges(uv.x)
            return max(max(edge[0] - uv.y, uv.y - edge[3]), beyond)
        } paint: { uv in
            let edge = edges(uv.x).0
            // The upper lip is in shade, the lower one has a gleam.
            if uv.y < (edge[1] + edge[2]) / 2 { return scaled(lips, 0.8) }
            let gleam = clamp(1 - abs(uv.y - mix(edge[2], edge[3], 0.4)) * 45) * clamp(1 - abs(uv.x) / (0.6 * w))
            return mix(lips, RGB(repeating: 1), 0.3 * gleam)
        }
        if open > 0 {
            let gap = mouth.gap
            fillFace(box) { uv in
                let (edge, beyond) = edges(uv.x)
                return max(max(edge[1] - uv.y, uv.y - edge[2]), beyond)
            } paint: { uv in
                let edge = edges(uv.x).0
                let t = (uv.y - edge[1]) / max(edge[2] - edge[1], 1e-3)
                let teeth = shape.teeth && uv.y - edge[1] < (open > 0.1 ? 0.4 * open : open)
                if teeth { return gap && abs(uv.x) < 0.016 ? hex(0x5A2227) : hex(0xFDFBF5) }
                let tongue = t > 0.62 && open > 0.1 && abs(uv.x) < 0.7 * w
                return tongue ? hex(0xD0636B) : hex(0x571C22)
            }
        } else {
            fillFace(box, soft: 0.006) { uv in
                let (edge, beyond) = edges(uv.x)
                return max(abs(uv.y - edge[1]) - 0.014, beyond - 0.02)
            } paint: { _ in
                dark
            }
        }
        // Dimples beside a smile.
        if shape.curve > 0.05 {
            for side: Float in [-1, 1] {
                fillFace(box, soft: 0.02, alpha: 0.6) { uv in
                    let p = V2(uv.x * side - w - 0.03, uv.y - y + shape.curve * 0.55)
                    return stroke(p, V2(0, -0.035), V2(0.012, 0.04), 0.01, 0.008)
                } paint: { _ in
                    tone * RGB(0.62, 0.46, 0.44)
                }
            }
        }
    }

    func beard() {
        let kind = who.beard
        guard kind != .none else { return }
        let (mouth, w) = (who.mouth, who.face.width)
        let (colour, salt) = (scaled(who.hair.colour, 0.92), who.hair.pattern)
        let lip = mouth.height - mouth.upper - 0.02
        // Upper edge of a beard over |u|: under the nose, below the cheeks, up to the ears.
        func line(_ u: Float) -> Float {
            let cheek = mix(lip - 0.05, mouth.height - 0.02, smoothstep(0.12, 0.45, u / w))
            return mix(cheek, -0.05, smoothstep(0.6, 1, u / w))
        }
        let wide = mouth.width * shape.width
        @inline(__always) func hole(_ uv: V2) -> Float {
            ellipse(uv, V2(0, mouth.height + shape.open * 0.2), V2(wide * 0.95, mouth.lower + 0.045 + shape.open * 0.5))
        }
        @inline(__always) func hairs(_ p: V2) -> RGB {
            scaled(colour, shade(p) * (0.94 + 0.12 * lineNoise(p.x * 24 + wave(p.y * 3) * 0.6, salt)))
        }
        let moustache: (V2) -> Float = { uv in
            let q = V2(abs(uv.x), uv.y)
            let droop = kind == .handlebar ? stroke(q, V2(0.2, lip + 0.03), V2(0.36, lip - 0.05), 0.045, 0.012) : 1
            return min(stroke(q, V2(0.03, lip - 0.045), V2(0.22, lip + 0.03), 0.055, 0.035), droop)
        }
        let bottom = mouth.height + 0.16
        switch kind {
        case .none: break
        case .stubble:
            fillHead(soft: 0.08, alpha: 0.34) { _, uv, outline in
                max(max(outline, line(abs(uv.x)) - uv.y), -hole(uv))
            } paint: { p, _ in
                mix(scaled(colour, 0.8), who.skin.tone * 0.55, 0.35)
            }
        case .moustache, .handlebar:
            fillFace(Canvas.Box(V2(-0.5, 0.2), V2(0.5, 0.9)), distance: moustache) { uv in hairs(uv) }
        case .goatee:
            fillHead { p, uv, outline in
                let patch = max(
                    max(abs(uv.x) - 0.3 + 0.1 * smoothstep(bottom, 1.1, uv.y), lip - 0.04 - uv.y), outline - 0.04)
                let edge = 0.014 * lineNoise(uv.x * 26, salt)
                return max(min(patch, moustache(uv)), -hole(uv)) + edge
            } paint: { p, _ in
                hairs(p)
            }
        case .chinstrap:
            fillHead { p, uv, outline in
                max(max(outline - 0.03, -0.13 - outline), 0.06 - uv.y) + 0.01 * lineNoise(p.y * 20, salt)
            } paint: { p, _ in
                hairs(p)
            }
        case .full, .long:
            let tail: Float = kind == .long ? 0.45 : 0
            fillHead { p, uv, outline in
                let beyond = outline - 0.055 - 0.025 * lineNoise(p.x * 9 + p.y * 7, salt)
                let chin = p - V2(head.yaw.sin * 0.34 * head.axes.x, 0)
                let hanging = tail > 0 ? ellipse(chin, V2(0, 0.82), V2(0.46, 0.2 + tail)) : beyond
                let area = max(blend(beyond, hanging, 0.1), line(abs(uv.x)) - uv.y + 0.012 * lineNoise(uv.x * 30, salt))
                return max(min(area, moustache(uv)), -hole(uv))
            } paint: { p, _ in
                hairs(p)
            }
        }
    }
}
