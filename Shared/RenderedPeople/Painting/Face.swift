// Skin, marks, ears and nose.

extension Painter {
    private var skin: RGB { who.skin.tone }
    /// Skin in shadow: darker and redder.
    private var deep: RGB { who.skin.tone * RGB(0.7, 0.58, 0.56) }

    func face() {
        let (tone, dark) = (skin, deep)
        fillHead { _, _, outline in
            outline
        } paint: { p, _ in
            let s = shade(p)
            return s < 1 ? mix(dark, tone, clamp((s - 0.4) / 0.6)) : scaled(tone, s)
        }
        // Cheeks, and a little light on the forehead.
        let blush = mix(tone, hex(0xD8564F), 0.55)
        for side: Float in [-1, 1] {
            let place = V2(side * who.face.width * 0.55, 0.38)
            fillFace(
                Canvas.Box(centre: place, radius: V2(0.3, 0.25)), soft: 0.2, alpha: 0.1 + 0.28 * who.skin.blush
            ) { uv in
                ellipse(uv, place, V2(0.15, 0.11))
            } paint: { _ in
                blush
            }
        }
        fillFace(Canvas.Box(V2(-0.5, -0.75), V2(0.5, -0.15)), soft: 0.3, alpha: 0.2) { uv in
            ellipse(uv, V2(-0.08, -0.42), V2(0.22, 0.12))
        } paint: { _ in
            mix(tone, RGB(repeating: 1), 0.5)
        }
        lines()
        marks()
    }

    /// What age and build draw on a face.
    private func lines() {
        let (dark, age, w) = (deep, who.skin.age, who.face.width)
        let (mouth, nose) = (who.mouth, who.nose)
        if age > 0.25 {
            let strength = 0.25 + 0.5 * age
            for side: Float in [-1, 1] {
                fillFace(Canvas.Box(V2(-0.6, 0.2), V2(0.6, 0.9)), soft: 0.03, alpha: strength) { uv in
                    stroke(
                        V2(uv.x * side, uv.y), V2(nose.width + 0.04, nose.tip + 0.02),
                        V2(mouth.width + 0.06, mouth.height + 0.02), 0.012, 0.006)
                } paint: { _ in
                    dark
                }
                fillFace(Canvas.Box(V2(-0.7, -0.1), V2(0.7, 0.4)), soft: 0.03, alpha: strength * 0.7) { uv in
                    arc(
                        V2(uv.x * side - who.eyes.spread, -(uv.y - who.eyes.height - who.eyes.down - 0.05)), 0.13,
                        0.045,
                        0.012)
                } paint: { _ in
                    dark
                }
            }
            for i in 0..<2 {
                let y = who.hair.line + 0.13 + Float(i) * 0.1
                fillFace(Canvas.Box(V2(-0.5, y - 0.1), V2(0.5, y + 0.1)), soft: 0.03, alpha: strength * 0.7) { uv in
                    arc(V2(uv.x, uv.y - y), 0.34 - 0.05 * Float(i), 0.03, 0.012)
                } paint: { _ in
                    dark
                }
            }
        }
        if who.face.cleft {
            fillFace(Canvas.Box(V2(-0.1, 0.8), V2(0.1, 1)), soft: 0.03, alpha: 0.6) { uv in
                stroke(uv, V2(0, 0.86), V2(0, 0.93), 0.012, 0.016)
            } paint: { _ in
                dark
            }
        }
        // Under the lip, and the shade of the jaw.
        fillFace(Canvas.Box(V2(-w, 0.5), V2(w, 1.1)), soft: 0.08, alpha: 0.4) { uv in
            ellipse(uv, V2(0, mouth.height + 0.17), V2(0.13, 0.025))
        } paint: { _ in
            dark
        }
    }

    private func marks() {
        let tone = skin
        if who.skin.freckles > 0 {
            var random = CounterRandom(UInt64(who.skin.pattern))
            let colour = mix(tone, tone * RGB(0.66, 0.46, 0.34), 0.85)
            for _ in 0..<Int(18 + 16 * who.skin.freckles) {
                let side = random.pick(Float(-1), 1)
                let place = V2(side * random.range(0.04, 0.52), random.range(0.14, 0.46))
                let radius = random.range(0.011, 0.021)
                fillFace(Canvas.Box(centre: place, radius: V2(0.04, 0.04)), soft: 0.008, alpha: 0.8) { uv in
                    circle(uv, place, radius)
                } paint: { _ in
                    colour
                }
            }
        }
        if let mole = who.skin.mole {
            fillFace(Canvas.Box(centre: mole, radius: V2(0.06, 0.06))) { uv in
                circle(uv, mole, 0.03)
            } paint: { _ in
                tone * RGB(0.4, 0.27, 0.22)
            }
        }
    }

    /// Whether hair leaves the ears free.
    private var earsShow: Bool {
        ![.bob, .straight, .fringe, .wavy, .ringlets, .afro, .curly, .pixie].contains(who.hair.style)
    }

    /// Where an ear lies among the layers: the far one of a turned head behind the cheek, others under or over the hair.
    enum EarLayer { case behindFace, underHair, overHair }

    func ears(_ layer: EarLayer) {
        let (size, tone, dark) = (who.ears.size, skin, deep)
        for side: Float in [-1, 1] {
            let far = max(side * head.yaw.sin - 0.08, 0)
            guard layer == (far > 0 ? .behindFace : earsShow ? .overHair : .underHair) else { continue }
            let reach = who.face.width * 0.94 + who.ears.out
            let place = V2(
                side * (reach * head.yaw.cos - 0.4 * far) + head.yaw.sin * 0.16, 0.1 - head.pitch.sin * 0.05)
            let radius = V2(size * 0.62, size)
            let s = shade(V2(place.x * 0.9, place.y))
            let colour = s < 1 ? mix(dark, tone, clamp((s - 0.4) / 0.6)) : scaled(tone, s)
            canvas.fill(head.frame, Canvas.Box(centre: place, radius: radius * 1.1)) { p in
                let d = ellipse(p, place - V2(0, size * 0.1), V2(radius.x, radius.y * 0.9))
                return blend(d, circle(p, place + V2(-side * size * 0.15, size * 0.55), size * 0.36), 0.1)
            } paint: { _ in
                colour
            }
            canvas.fill(head.frame, Canvas.Box(centre: place, radius: radius), soft: 0.03, alpha: 0.55) { p in
                ellipse(p, place + V2(-side * size * 0.04, -size * 0.08), radius * 0.5)
            } paint: { _ in
                mix(colour, dark, 0.8)
            }
            earring(place + V2(0, size * 0.82))
        }
    }

    private func earring(_ place: V2) {
        let metal = who.ears.metal
        let box = Canvas.Box(centre: place, radius: V2(0.2, 0.4))
        switch who.ears.ring {
        case .none: break
        case .stud: canvas.fill(head.frame, box, metal) { circle($0, place - V2(0, 0.02), 0.045) }
        case .hoop: canvas.fill(head.frame, box, metal) { abs(circle($0, place + V2(0, 0.09), 0.11)) - 0.024 }
        case .drop:
            canvas.fill(head.frame, box, metal) { p in
                min(
                    stroke(p, place, place + V2(0, 0.12), 0.016, 0.016),
                    ellipse(p, place + V2(0, 0.19), V2(0.05, 0.08)))
            }
        }
    }

    /// Bridge, wings and tip. The tip stands out of the face, so it moves further than the rest when the head turns.
    func nose() {
        let (nose, tone, dark) = (who.nose, skin, deep)
        let bridge = head.project(V2(0, who.eyes.height - 0.02), out: 0.05)
        let tip = head.project(V2(0, nose.tip), out: 0.16)
        let w = nose.width
        // Shade falls on the side away from the light, and with the turn.
        let away: Float = head.yaw.sin * 0.6 - light.direction.x * 0.7 > 0 ? 1 : -1
        let box = Canvas.Box(pointwiseMin(bridge, tip) - 0.4, pointwiseMax(bridge, tip) + 0.4)
        let ridge = 0.03 + 0.035 * nose.bridge
        let s = shade(tip * 0.7)
        let lit = s < 1 ? mix(dark, tone, clamp((s - 0.4) / 0.6)) : scaled(tone, s)

        canvas.fill(head.frame, box, soft: 0.05, alpha: 0.3 + 0.3 * nose.bridge) { p in
            stroke(p, bridge + V2(away * 0.035, 0), tip + V2(away * w * 0.42, 0), ridge, w * 0.62)
        } paint: { _ in
            mix(lit, dark, 0.75)
        }
        // Shadow under the tip.
        canvas.fill(head.frame, box, soft: 0.05, alpha: 0.55) { p in
            ellipse(p, tip + V2(0, 0.075), V2(w * 0.95, 0.05))
        } paint: { _ in
            mix(lit, dark, 0.85)
        }
        // Wings and nostrils.
        let wing = mix(lit, dark, 0.22)
        for side: Float in [-1, 1] {
            canvas.fill(head.frame, box, wing, soft: 0.015) { p in
                circle(p, tip + V2(side * w * 0.68, 0.012), w * 0.36)
            }
            canvas.fill(head.frame, box, soft: 0.012, alpha: 0.85) { p in
                ellipse(p, tip + V2(side * w * 0.42, 0.055), V2(w * 0.2, 0.024))
            } paint: { _ in
                dark * RGB(0.5, 0.42, 0.42)
            }
        }
        let round = mix(0.46, 0.66, nose.round)
        canvas.fill(head.frame, box, lit, soft: 0.03) { p in
            min(
                ellipse(p, tip, V2(w * round, w * 0.1 + 0.055)),
                stroke(p, bridge + V2(0, 0.12), tip - V2(0, 0.04), ridge * 0.6, w * 0.36))
        }
        canvas.fill(head.frame, box, soft: 0.04, alpha: 0.5) { p in
            ellipse(p, tip - V2(away * w * 0.18, 0.035), V2(w * 0.2, 0.03))
        } paint: { _ in
            mix(lit, RGB(repeating: 1), 0.6)
        }
    }
}
