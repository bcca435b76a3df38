// Hair that hangs behind the head or over the shoulders, buns and tails.

extension Painter {
    /// Fills hair in the head's plane, below the hat if there is one. `lag`: how far it moves against the turn.
    @inline(__always)
    private func hang(_ box: Canvas.Box, dark: Float, lag: Float, _ distance: (V2) -> Float) {
        let (covered, line) = (photo.hat != nil, hatLine)
        let shift = V2(head.yaw.sin * lag, 0)
        canvas.fill(head.frame, box) { p in
            let d = distance(p + shift)
            return covered ? underHat(d, line - p.y) : d
        } paint: { p in
            strand(p, dark: dark)
        }
    }

    /// Hair that is round above and hangs straight down to `bottom`.
    @inline(__always) private func domed(_ p: V2, width: Float, bottom: Float) -> Float {
        let top: Float = -0.2
        let tall = (bottom - top) / 2
        return blend(
            ellipse(p, V2(0, top), V2(width, 0.86)),
            roundedBox(p, V2(0, top + tall), V2(width, tall), 0.28), 0.12)
    }

    func hairBehind() {
        let (hair, w) = (who.hair, who.face.width)
        let wide = w + 0.06 + 0.5 * hair.volume
        let tall = Canvas.Box(V2(-1.7, -1.6), V2(1.7, 2.2))
        switch hair.style {
        case .bob:
            hang(tall, dark: 0.72, lag: 0.1) { p in
                let flare = V2(p.x / (1 + 0.07 * smoothstep(0, 0.9, p.y)), p.y)
                return domed(flare, width: wide + 0.03, bottom: 0.88)
            }
        case .straight, .fringe:
            hang(tall, dark: 0.72, lag: 0.1) { p in
                domed(p, width: wide + 0.05, bottom: 1.82)
            }
        case .wavy:
            hang(tall, dark: 0.72, lag: 0.1) { p in
                let low = smoothstep(-0.2, 1.2, p.y)
                return domed(p, width: wide + 0.05 + 0.14 * low, bottom: 1.7)
                    - 0.05 * low * wave(p.y * 1.5 + (p.x > 0 ? 0.25 : 0))
            }
        case .ringlets:
            hang(tall, dark: 0.72, lag: 0.1) { p in
                let low = smoothstep(-0.5, 0.6, p.y)
                return domed(p, width: wide + 0.08 + 0.22 * low, bottom: 1.27)
                    - 0.06 * abs(wave(p.y * 1.5)) - 0.03 * abs(wave(p.x * 2.1))
            }
        case .afro:
            hang(tall, dark: 0.8, lag: 0.08) { p in
                let r = w + 0.22 + hair.volume
                return ellipse(p, V2(0, -0.22), V2(r, r)) - 0.02 * abs(wave(p.x * 4)) - 0.02 * abs(wave(p.y * 4))
            }
        case .curly:
            hang(tall, dark: 0.75, lag: 0.08) { p in
                ellipse(p, V2(0, -0.2), V2(wide + 0.1, 0.92)) - 0.04 * abs(wave(p.x * 3)) - 0.04 * abs(wave(p.y * 3))
            }
        case .bun:
            guard photo.hat == nil else { break }
            hang(tall, dark: 0.9, lag: 0.25) { p in circle(p, V2(0, -1.2), 0.24 + 0.9 * hair.volume) }
        case .spaceBuns:
            guard photo.hat == nil else { break }
            hang(tall, dark: 0.9, lag: 0.2) { p in
                circle(V2(abs(p.x), p.y), V2(w * 0.72, -0.98), 0.22 + 0.7 * hair.volume)
            }
        case .ponytail:
            let s = hair.side
            hang(tall, dark: 0.82, lag: 0.35) { p in
                let q = V2(p.x * s, p.y)
                let up = stroke(q, V2(0.3, -0.9), V2(w + 0.32, -0.55), 0.14, 0.22)
                let down = stroke(q, V2(w + 0.32, -0.5), V2(w + 0.28, 0.75), 0.23, 0.07)
                return blend(up, down, 0.1) - 0.02 * wave(q.y * 1.5)
            }
        case .pigtails:
            hang(tall, dark: 0.85, lag: 0.1) { p in
                let q = V2(abs(p.x), p.y)
                return stroke(q, V2(w + 0.14, -0.1), V2(w + 0.36, 0.8), 0.16 + hair.volume, 0.06)
                    - 0.02 * wave(q.y * 1.8)
            }
        default: break
        }
    }

    func hairOverShoulders() {
        let (hair, w) = (who.hair, who.face.width)
        let box = Canvas.Box(V2(-1.6, -0.3), V2(1.6, 2.4))
        switch hair.style {
        case .straight, .fringe:
            hang(box, dark: 0.86, lag: 0.02) { p in
                let q = V2(abs(p.x), p.y)
                return stroke(q, V2(w * 0.86, 0.3), V2(w * 0.93, 1.72), 0.14, 0.12 + 0.3 * hair.volume)
            }
        case .wavy:
            hang(box, dark: 0.86, lag: 0.02) { p in
                let q = V2(abs(p.x) + 0.06 * wave(p.y * 1.4), p.y)
                return stroke(q, V2(w * 0.9, 0.3), V2(w * 1.02, 1.6), 0.15, 0.16 + 0.3 * hair.volume)
            }
        case .ringlets:
            hang(box, dark: 0.86, lag: 0.02) { p in
                let q = V2(abs(p.x), p.y)
                return stroke(q, V2(w * 0.98, 0.2), V2(w * 1.1, 1.2), 0.16, 0.2) - 0.06 * abs(wave(q.y * 1.6))
            }
        case .braids:
            hang(box, dark: 1, lag: 0.02) { p in
                let q = V2(abs(p.x), p.y)
                return stroke(q, V2(w * 0.9, 0.2), V2(w * 0.94, 1.7), 0.1, 0.1) - 0.045 * abs(wave(q.y * 1.9))
            }
            for side: Float in [-1, 1] {
                let end = V2(side * w * 0.94 - head.yaw.sin * 0.02, 1.68)
                let tie = who.ears.metal
                canvas.fill(head.frame, Canvas.Box(centre: end, radius: V2(0.2, 0.2)), tie) {
                    roundedBox($0, end, V2(0.11, 0.05), 0.03)
                }
            }
        default: break
        }
    }
}
