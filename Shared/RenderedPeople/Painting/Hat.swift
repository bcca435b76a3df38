// Hats. They sit on the head and turn with it; their brims follow the tilt.

extension Painter {
    func hat() {
        guard let hat = photo.hat else { return }
        let colour = hat.colour.rgb
        let w = who.face.width + 0.09
        let turn = head.yaw.sin
        let lift = -head.pitch.sin * 0.12
        // The band's middle moves with the forehead.
        let band = V2(turn * 0.1, -0.42 + lift)
        let box = Canvas.Box(V2(-2, -2.2), V2(2, 0.2))
        let crown: (V2) -> Float
        switch hat.kind {
        case .cap: crown = { p in max(ellipse(p, V2(band.x * 0.3, -0.42), V2(w + 0.02, 0.74)), p.y - band.y - 0.05) }
        case .beanie: crown = { p in max(ellipse(p, V2(0, -0.34), V2(w + 0.04, 0.92)), p.y - band.y - 0.08) }
        case .sunHat: crown = { p in max(ellipse(p, V2(0, -0.5), V2(w - 0.04, 0.74)), p.y - band.y) }
        case .bowler: crown = { p in max(ellipse(p, V2(0, -0.5), V2(w, 0.76)), p.y - band.y) }
        case .party:
            crown = { p in
                let t = (p.y + 1.75) / 1.05
                return max(abs(p.x + turn * 0.12 * (1 - t)) * 0.9 - 0.5 * t, p.y + 0.72 + 0.1 * (p.x * p.x))
            }
        }
        let knit = hat.kind == .beanie
        // Shadow on the forehead.
        fillHead(soft: 0.08, alpha: hat.kind == .party ? 0 : 0.32) { p, _, outline in
            max(outline - 0.03, p.y - band.y - 0.16)
        } paint: { _, _ in
            who.skin.tone * RGB(0.45, 0.36, 0.36)
        }

        if hat.kind == .sunHat { brim(V2(w + 0.62, 0.24), band, colour) }
        canvas.fill(head.frame, box, distance: crown) { p in
            let rib = knit ? 0.94 + 0.08 * wave(p.x * 5) : 1
            return scaled(colour, shade(p) * rib)
        }
        details(hat, colour, w, band, crown)
    }

    private func brim(_ radius: V2, _ band: V2, _ colour: RGB) {
        canvas.fill(head.frame, Canvas.Box(centre: band, radius: radius * 1.1)) { p in
            ellipse(p, band + V2(0, 0.02), radius)
        } paint: { p in
            scaled(colour, shade(V2(p.x * 0.5, -0.3)) * (0.98 - 0.22 * smoothstep(-0.05, 0.16, p.y - band.y)))
        }
    }

    private func details(
        _ hat: PhotoNuisance.Hat, _ colour: RGB, _ w: Float, _ band: V2, _ crown: (V2) -> Float
    ) {
        let (turn, bright) = (head.yaw.sin, luminance(colour))
        let other = bright > 0.6 ? scaled(colour, 0.62) : mix(colour, RGB(repeating: 1), 0.45)
        let dark = scaled(colour, 0.74)
        let box = Canvas.Box(V2(-1.7, -2.2), V2(1.7, 0.3))
        switch hat.kind {
        case .cap:
            // Seams, button and a visor that points where the head does.
            canvas.fill(head.frame, box, dark, alpha: 0.7) { p in
                max(abs(p.x - turn * 0.35 * (p.y + 1.15)) - 0.014, crown(p))
            }
            canvas.fill(head.frame, box, other) { ellipse($0, V2(0, -1.16), V2(0.08, 0.05)) }
            let place = V2(turn * 0.85, band.y + 0.06)
            canvas.fill(head.frame, box) { p in
                let d = p - place
                return max(
                    ellipse(d, V2(0, 0.03 + 0.06 * abs(turn)), V2(w * 0.86, 0.17)), -d.y - 0.06 + 0.12 * d.x * d.x)
            } paint: { p in
                scaled(other, shade(p) * (1 - 0.35 * smoothstep(0.02, 0.2, p.y - place.y)))
            }
        case .beanie:
            let cuff = V2(band.x * 0.4, band.y - 0.02)
            canvas.fill(head.frame, box) { p in
                roundedBox(p + V2(0, 0.08 * p.x * p.x), cuff, V2(w + 0.05, 0.14), 0.08)
            } paint: { p in
                scaled(other, shade(p) * (0.94 + 0.08 * wave(p.x * 5)))
            }
            canvas.fill(head.frame, box) { p in
                circle(p, V2(0, -1.32), 0.16) - 0.02 * abs(wave(p.x * 8))
            } paint: { p in
                scaled(other, shade(p))
            }
        case .sunHat, .bowler:
            let ribbon = hat.kind == .bowler ? scaled(colour, 0.5) : other
            canvas.fill(head.frame, box, ribbon) { p in
                max(crown(p) - 0.005, abs(p.y - band.y + 0.1) - 0.07)
            }
            if hat.kind == .bowler { brim(V2(w + 0.24, 0.12), band, scaled(colour, 0.92)) }
        case .party:
            canvas.fill(head.frame, box, other) { p in
                let t = (p + V2(0.1, 0)) / 0.26
                return max(circle(t - t.rounded(.down) - 0.5, V2(), 0.22) * 0.26, crown(p) + 0.01)
            }
            canvas.fill(head.frame, box, hex(0xFBF3D0)) { p in
                circle(p, V2(-turn * 0.12, -1.76), 0.12) - 0.025 * abs(wave(p.x * 9))
            }
        }
    }
}
