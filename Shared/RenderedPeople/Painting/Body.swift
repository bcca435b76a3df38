// Neck, shoulders and clothes, in the body's own plane: it turns a quarter as far as the head.

extension Painter {
    var bodyFrame: Canvas.Frame {
        let turn = sineAndCosine(photo.roll * 0.25)
        let sway = V2(-photo.roll * 0.35 - head.yaw.sin * 0.05, 0)
        return Canvas.Frame(origin: photo.centre + sway * photo.scale, scale: photo.scale, turn: turn)
    }

    /// Brightness across the shoulders.
    @inline(__always) private func bodyShade(_ p: V2) -> Float {
        let x = clamp(p.x / 1.5, -0.95, 0.95)
        return light.factor(SIMD3(x, -0.25, (1 - x * x).squareRoot())) * (1 - 0.12 * smoothstep(1.4, 2.4, p.y))
    }

    func body() {
        let (frame, shirt, neck, shoulders) = (bodyFrame, photo.shirt, who.face.neck, who.face.shoulders)
        let cloth = shirt.colour.rgb
        let skin = who.skin.tone
        let (inner, outer) = (V2(-2.4, 0.4), V2(2.4, 3.2))
        let torso: (V2) -> Float = { p in
            let trunk = roundedBox(p, V2(0, 3.05), V2(shoulders, 1.75), 0.6)
            return blend(trunk, stroke(p, V2(0, 1.2), V2(0, 1.6), neck + 0.02, neck + 0.3), 0.3)
        }
        if shirt.kind == .hoodie {
            canvas.fill(frame, Canvas.Box(V2(-1.3, 0.4), V2(1.3, 1.8))) { p in
                ellipse(p, V2(0, 1.2), V2(neck + 0.46, 0.55))
            } paint: { p in
                scaled(cloth, 0.72 * bodyShade(p))
            }
        }
        // Neck, darker under the chin.
        let shadowSide = head.yaw.sin
        canvas.fill(frame, Canvas.Box(V2(-1, 0.3), V2(1, 2))) { p in
            stroke(p, V2(shadowSide * 0.12, 0.5), V2(0, 1.5), neck, neck + 0.03)
        } paint: { p in
            let under = smoothstep(0.75, 1.3, p.y)
            return skin * mix(RGB(0.66, 0.58, 0.58), RGB(repeating: 0.95), under) * bodyShade(p)
        }

        let stripe = shirt.kind == .striped
        let other = luminance(cloth) > 0.6 ? scaled(cloth, 0.6) : mix(cloth, RGB(repeating: 1), 0.7)
        let opening = Self.opening(shirt.kind, neck: neck)
        canvas.fill(frame, Canvas.Box(inner, outer)) { p in
            max(torso(p), -opening(p))
        } paint: { p in
            var colour = cloth
            if stripe {
                let t = p.y / 0.3
                colour = mix(cloth, other, clamp(0.5 - (abs(t - t.rounded(.down) - 0.5) - 0.25) * 12))
            }
            // Sleeves begin at a faint seam.
            let seam = clamp(1 - abs(abs(p.x) - shoulders * 0.74) * 26) * smoothstep(1.7, 1.9, p.y)
            return scaled(colour, bodyShade(p) * (1 - 0.13 * seam))
        }
        trim(frame, cloth, neck, opening)
    }

    /// The shirt's neckline: inside it there is skin.
    private static func opening(_ kind: PhotoNuisance.Shirt.Kind, neck: Float) -> (V2) -> Float {
        switch kind {
        case .vneck: { p in max(abs(p.x) * 0.86 + (p.y - 1.2) * 0.5 - (neck * 0.86 + 0.06), p.y - 1.95) }
        case .collar: { p in max(abs(p.x) * 0.9 + (p.y - 1.2) * 0.43 - neck * 0.72, p.y - 1.75) }
        default: { p in ellipse(p, V2(0, 1.13), V2(neck + 0.09, 0.3)) }
        }
    }

    private func trim(_ frame: Canvas.Frame, _ cloth: RGB, _ neck: Float, _ opening: (V2) -> Float) {
        let dark = scaled(cloth, 0.78)
        let pale = luminance(cloth) > 0.7 ? scaled(cloth, 0.85) : mix(cloth, RGB(repeating: 1), 0.35)
        switch photo.shirt.kind {
        case .crew, .striped, .vneck:
            canvas.fill(frame, Canvas.Box(V2(-1, 1), V2(1, 2.1))) { p in
                max(abs(opening(p) - 0.03) - 0.035, 1.1 - p.y)
            } paint: { p in
                scaled(dark, bodyShade(p))
            }
        case .collar:
            for side: Float in [-1, 1] {
                canvas.fill(frame, Canvas.Box(V2(-1, 1), V2(1, 2))) { p in
                    let q = V2(p.x * side, p.y)
                    return stroke(q, V2(neck * 0.95, 1.22), V2(neck * 0.38, 1.62), 0.06, 0.13)
                } paint: { p in
                    scaled(pale, bodyShade(p))
                }
            }
            for i in 0..<3 {
                let y = 1.95 + Float(i) * 0.35
                canvas.fill(frame, Canvas.Box(centre: V2(0, y), radius: V2(0.08, 0.08)), dark) {
                    circle($0, V2(0, y), 0.045)
                }
            }
        case .hoodie:
            canvas.fill(frame, Canvas.Box(V2(-1.2, 1), V2(1.2, 2))) { p in
                max(abs(ellipse(p, V2(0, 1.12), V2(neck + 0.2, 0.42))) - 0.1, 1.12 - p.y)
            } paint: { p in
                scaled(dark, bodyShade(p))
            }
            for side: Float in [-1, 1] {
                canvas.fill(frame, Canvas.Box(V2(-0.5, 1.4), V2(0.5, 2.2)), hex(0xF3F0EA)) { p in
                    stroke(V2(p.x * side, p.y), V2(0.2, 1.5), V2(0.22, 2.05), 0.025, 0.025)
                }
            }
        case .scarf:
            let knit = mix(scaled(cloth, 0.7), hex(0xF2E9DA), luminance(cloth) < 0.5 ? 0.75 : 0)
            canvas.fill(frame, Canvas.Box(V2(-1.2, 0.8), V2(1.2, 2.6))) { p in
                min(
                    ellipse(p, V2(0, 1.22), V2(neck + 0.3, 0.25)),
                    stroke(p, V2(0.22, 1.35), V2(0.3, 2.3), 0.17, 0.2))
            } paint: { p in
                let t = (p.x + p.y * 0.4) / 0.13
                return scaled(knit, bodyShade(p) * (0.94 + 0.08 * wave(t)))
            }
        }
    }
}
