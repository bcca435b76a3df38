// Behind the person. Each pattern is a function of the picture's plane and a seed.

extension Painter {
    func background() {
        let kind = photo.background.kind
        let colour = mix(photo.background.colour.rgb, RGB(repeating: 0.93), 0.12)
        let second = luminance(colour) > 0.75 ? scaled(colour, 0.84) : mix(colour, RGB(repeating: 1), 0.26)
        var random = CounterRandom(CounterRandom.key(3, UInt64(photo.background.pattern)))
        switch kind {
        case .plain: flat { _ in colour }
        case .gradient:
            let direction = random.pick(V2(0, 1), V2(1, 0), V2(0.7, 0.7), V2(-0.7, 0.7), V2(0, -1))
            let far = mix(colour, random.chance(0.5) ? RGB(repeating: 1) : RGB(repeating: 0.1), 0.62)
            flat { mix(colour, far, smoothstep(-1.1, 1.1, dot($0, direction))) }
        case .stripes: stripes(colour, second, &random)
        case .dots:
            flat { _ in colour }
            grid(second, step: random.range(0.32, 0.44)) { circle($0, V2(), 0.27) }
        case .checks:
            flat { _ in colour }
            let step = random.range(0.3, 0.42)
            grid(second, step: step) { max(abs($0.x + 0.25), abs($0.y + 0.25)) - 0.25 }
            grid(second, step: step) { max(abs($0.x - 0.25), abs($0.y - 0.25)) - 0.25 }
        case .bricks: bricks(&random)
        case .lights: lights(colour, &random)
        case .hills: hills(&random)
        case .beach: beach(&random)
        case .city: city(&random)
        case .forest: forest(&random)
        case .night: night(&random)
        case .sunset: sunset(&random)
        }
    }

    private var plane: Canvas.Frame { Canvas.Frame(origin: V2(), scale: 1) }
    private var whole: Canvas.Box { Canvas.Box(V2(-1, -1), V2(1, 1)) }

    @inline(__always) private func flat(_ paint: (V2) -> RGB) { canvas.map { p, _ in paint(p) } }

    private func stripes(_ one: RGB, _ other: RGB, _ random: inout CounterRandom) {
        let direction = random.pick(V2(1, 0), V2(0, 1), V2(0.7071, 0.7071), V2(0.7071, -0.7071))
        let period = random.range(0.28, 0.44)
        flat { _ in one }
        canvas.fill(plane, whole, other) { p in
            let t = dot(p, direction) / period
            return (abs(t - t.rounded(.down) - 0.5) - 0.25) * period
        }
    }

    /// A shape repeated on a grid, given in the cell's −0.5 … 0.5.
    @inline(__always) private func grid(_ colour: RGB, step: Float, _ distance: (V2) -> Float) {
        canvas.fill(plane, whole, colour) { p in
            let t = p / step
            return distance(t - t.rounded(.down) - 0.5) * step
        }
    }

    private func bricks(_ random: inout CounterRandom) {
        let clay = random.pick(hex(0xB5614A), hex(0xC98B63), hex(0x9A9690), hex(0xE4DED2))
        let (mortar, salt) = (mix(clay, hex(0xE6E0D6), 0.55), photo.background.pattern)
        flat { _ in mortar }
        canvas.fill(plane, whole) { p in
            let row = (p.y / 0.2).rounded(.down)
            let x = p.x / 0.42 + (row * 0.5)
            let local = V2((x - x.rounded(.down) - 0.5) * 0.42, p.y - (row + 0.5) * 0.2)
            return roundedBox(local, V2(), V2(0.19, 0.082), 0.02)
        } paint: { p in
            let row = (p.y / 0.2).rounded(.down)
            let x = (p.x / 0.42 + row * 0.5).rounded(.down)
            return scaled(clay, 0.9 + 0.2 * cellNoise(Int32(x), Int32(row), salt))
        }
    }

    private func lights(_ colour: RGB, _ random: inout CounterRandom) {
        let base = scaled(colour, 0.42)
        flat { mix(base, scaled(base, 0.6), smoothstep(-1, 1, $0.y)) }
        for _ in 0..<16 {
            let place = V2(random.range(-1, 1), random.range(-1, 0.8))
            let radius = random.range(0.07, 0.19)
            let glow = mix(random.pick(hex(0xFFD98A), hex(0xFF9E7A), hex(0x9FD6FF), hex(0xFFC0E0)), colour, 0.3)
            canvas.fill(
                plane, Canvas.Box(centre: place, radius: V2(radius, radius)), glow, soft: 0.03,
                alpha: random.range(0.3, 0.65)
            ) { circle($0, place, radius) }
        }
    }

    /// Ground below a wavy line.
    private func ground(_ colour: RGB, level: Float, height: Float, period: Float, phase: Float) {
        let far = scaled(colour, 0.82)
        canvas.fill(plane, Canvas.Box(V2(-1, level - height), V2(1, 1))) { p in
            level - height * wave(p.x / period + phase) - p.y
        } paint: {
            mix(colour, far, smoothstep(level - height, 1, $0.y))
        }
    }

    private func sun(_ random: inout CounterRandom, _ colour: RGB, at height: ClosedRange<Float>) {
        let place = V2(random.pick(-1, 1) * random.range(0.5, 0.8), random.range(height.lowerBound, height.upperBound))
        canvas.fill(plane, Canvas.Box(centre: place, radius: V2(0.32, 0.32)), colour, soft: 0.2, alpha: 0.5) {
            circle($0, place, 0.2)
        }
        canvas.fill(plane, Canvas.Box(centre: place, radius: V2(0.16, 0.16)), colour) { circle($0, place, 0.15) }
    }

    private func clouds(_ random: inout CounterRandom) {
        for _ in 0..<3 {
            let place = V2(random.range(-0.9, 0.9), random.range(-0.85, -0.35))
            let size = random.range(0.1, 0.16)
            canvas.fill(
                plane, Canvas.Box(centre: place, radius: V2(3 * size, 1.5 * size)), hex(0xFDFDFB), soft: 0.02,
                alpha: 0.9
            ) { p in
                let d = p - place
                let puffs = blend(
                    circle(d, V2(-size, 0), 0.8 * size), circle(d, V2(0, -0.35 * size), size), 0.05)
                return max(blend(puffs, circle(d, V2(size, 0), 0.75 * size), 0.05), d.y - 0.5 * size)
            }
        }
    }

    private func hills(_ random: inout CounterRandom) {
        flat { mix(hex(0x8CC6EE), hex(0xE3F2F7), smoothstep(-1, 0.5, $0.y)) }
        sun(&random, hex(0xFFE9A0), at: -0.75 ... -0.5)
        clouds(&random)
        ground(hex(0x8FBF7F), level: 0.1, height: 0.12, period: random.range(1.2, 2), phase: random.unit())
        ground(hex(0x64A35A), level: 0.4, height: 0.1, period: random.range(1.2, 2), phase: random.unit())
    }

    private func beach(_ random: inout CounterRandom) {
        flat { mix(hex(0x79BDEB), hex(0xD9F0F8), smoothstep(-1, 0.1, $0.y)) }
        sun(&random, hex(0xFFF0B5), at: -0.75 ... -0.5)
        clouds(&random)
        ground(hex(0x2F8FB3), level: 0.05, height: 0, period: 1, phase: 0)
        ground(hex(0x62BFCB), level: 0.3, height: 0.02, period: 0.5, phase: random.unit())
        ground(hex(0xF1DBA6), level: 0.5, height: 0.05, period: random.range(1.4, 2.2), phase: random.unit())
    }

    private func city(_ random: inout CounterRandom) {
        flat { mix(hex(0xA9CDE6), hex(0xF3E3D6), smoothstep(-1, 0.6, $0.y)) }
        for layer in 0..<2 {
            var x: Float = -1.1
            let tone = layer == 0 ? hex(0xA5B4C6) : hex(0x6E7F96)
            while x < 1.05 {
                let width = random.range(0.22, 0.38)
                let top = random.range(-0.75, 0.1) + Float(layer) * 0.2
                let wall = scaled(tone, random.range(0.9, 1.1))
                let (left, middle) = (x, V2(x + width / 2, (top + 1.2) / 2))
                canvas.fill(plane, Canvas.Box(V2(x, top), V2(x + width, 1))) { p in
                    roundedBox(p, middle, V2(width / 2 - 0.015, (1.2 - top) / 2), 0.01)
                } paint: { p in
                    let t = V2((p.x - left) / width * 3, (p.y - top) / 0.16)
                    let f = t - t.rounded(.down)
                    let pane = max(abs(f.x - 0.5) - 0.24, abs(f.y - 0.5) - 0.28)
                    return mix(wall, hex(0xF6E7A8), layer == 1 ? clamp(-pane * 20) * 0.8 : 0)
                }
                x += width
            }
        }
    }

    private func forest(_ random: inout CounterRandom) {
        flat { mix(hex(0xD6E8D0), hex(0x9CC49A), smoothstep(-1, 0.8, $0.y)) }
        for layer in 0..<3 {
            let leaf = mix(hex(0x8AB58A), hex(0x2F6B45), Float(layer) / 2)
            for i in 0..<(6 - layer) {
                let x = -1 + (Float(i) + random.range(0.1, 0.9)) * 2 / Float(6 - layer)
                let (base, tall) = (Float(layer) * 0.25 + 0.25, random.range(0.75, 1.1))
                canvas.fill(plane, Canvas.Box(V2(x - 0.3, base - tall), V2(x + 0.3, base + 0.1)), leaf) { p in
                    let t = (p.y - base + tall) / tall
                    let tier = t * 3 - (t * 3).rounded(.down)
                    let half = 0.07 + 0.2 * t * (0.55 + 0.45 * tier)
                    return max(max(abs(p.x - x) - half, -t * tall), p.y - base)
                }
            }
        }
        ground(hex(0x4D8453), level: 0.55, height: 0.04, period: 0.9, phase: random.unit())
    }

    private func night(_ random: inout CounterRandom) {
        flat { mix(hex(0x0F1436), hex(0x3C3A72), smoothstep(-1, 1, $0.y)) }
        for _ in 0..<40 {
            let place = V2(random.range(-1, 1), random.range(-1, 0.7))
            let radius = random.range(0.012, 0.028)
            canvas.fill(plane, Canvas.Box(centre: place, radius: V2(0.05, 0.05)), hex(0xFFF6D8), soft: 0.012) {
                circle($0, place, radius)
            }
        }
        let moon = V2(random.pick(-1, 1) * random.range(0.55, 0.75), random.range(-0.75, -0.55))
        canvas.fill(plane, Canvas.Box(centre: moon, radius: V2(0.2, 0.2)), hex(0xFBF3CF)) { p in
            max(circle(p, moon, 0.17), -circle(p, moon + V2(0.08, -0.05), 0.15))
        }
        ground(hex(0x20264A), level: 0.55, height: 0.1, period: 1.6, phase: random.unit())
    }

    private func sunset(_ random: inout CounterRandom) {
        flat { p in
            let low = mix(hex(0x6D4C93), hex(0xE8746A), smoothstep(-1, -0.2, p.y))
            return mix(low, hex(0xFBD08A), smoothstep(-0.3, 0.45, p.y))
        }
        sun(&random, hex(0xFFF0B0), at: 0.05...0.2)
        ground(hex(0x8A4B72), level: 0.3, height: 0.12, period: random.range(1.1, 1.8), phase: random.unit())
        ground(hex(0x54356B), level: 0.55, height: 0.08, period: random.range(1.1, 1.8), phase: random.unit())
    }
}
