/// What differs between photos of one person: pose, expression, light, background, clothes, hat, glasses, crop. Drawn
/// from a seed; says nothing about who is in the photo.
public struct PhotoNuisance: Sendable, Hashable {
    /// The seed that everything else follows from.
    public let seed: UInt64

    /// Turn of the head, radians: yaw > 0 to the right of the picture, pitch > 0 up, roll > 0 clockwise.
    var yaw: Float = 0
    var pitch: Float = 0
    var roll: Float = 0
    /// Where the eyes look, −1 … 1 for each direction.
    var gaze = V2()
    var expression = Expression.neutral
    var light = Light.even
    var background = Background()
    var shirt = Shirt()
    var hat: Hat?
    var glasses = Glasses.none
    /// Middle of the head in the picture, and half its height.
    var centre = V2()
    var scale: Float = 0.55

    enum Expression: CaseIterable, Hashable {
        case neutral, smiling, laughing, sad, surprised, angry, winking, sleeping
    }

    enum Light: CaseIterable, Hashable { case even, left, right, dim, warm, cool }

    enum Glasses: CaseIterable, Hashable { case none, round, square, sun }

    struct Background: Hashable {
        var kind = Kind.plain
        var colour = NamedColour.blue
        /// Seed of what is drawn.
        var pattern: UInt32 = 0

        enum Kind: CaseIterable, Hashable {
            case plain, gradient, stripes, dots, checks, bricks, lights, hills, beach, city, forest, night, sunset
        }
    }

    struct Shirt: Hashable {
        var kind = Kind.crew
        var colour = NamedColour.blue

        enum Kind: CaseIterable, Hashable { case crew, vneck, collar, hoodie, striped, scarf }
    }

    struct Hat: Hashable {
        var kind = Kind.cap
        var colour = NamedColour.red

        enum Kind: CaseIterable, Hashable { case cap, beanie, sunHat, bowler, party }
    }
}

extension PhotoNuisance {
    /// Draws a photo's circumstances.
    public init(seed: UInt64) {
        self.seed = seed
        var random = CounterRandom(CounterRandom.key(2, seed))

        // Directions are clear or absent, so that a caption can name them.
        let across = random.weighted([Float(0): 0.46, -1: 0.27, 1: 0.27], otherwise: 0)
        let upwards = random.weighted([Float(0): 0.7, -1: 0.15, 1: 0.15], otherwise: 0)
        yaw = across * random.range(0.28, 0.5) + random.range(-0.06, 0.06)
        pitch = upwards * random.range(0.2, 0.3) + random.range(-0.04, 0.04)
        roll = random.chance(0.2) ? random.pick(-1, 1) * random.range(0.14, 0.26) : random.range(-0.05, 0.05)
        gaze = V2(across * 0.55, -upwards * 0.5) + V2(random.range(-0.15, 0.15), random.range(-0.1, 0.1))

        expression = random.weighted(
            [
                .neutral: 0.2, .smiling: 0.28, .laughing: 0.16, .sad: 0.09, .surprised: 0.09, .angry: 0.07,
                .winking: 0.07, .sleeping: 0.04,
            ], otherwise: .neutral)
        light = random.weighted(
            [.even: 0.46, .left: 0.12, .right: 0.12, .dim: 0.1, .warm: 0.1, .cool: 0.1], otherwise: .even)

        background.kind = random.weighted(
            [
                .plain: 0.26, .gradient: 0.14, .stripes: 0.1, .dots: 0.07, .checks: 0.06, .bricks: 0.05,
                .lights: 0.05, .hills: 0.07, .beach: 0.05, .city: 0.05, .forest: 0.04, .night: 0.03,
                .sunset: 0.03,
            ], otherwise: .plain)
        background.colour = NamedColour.allCases[random.below(NamedColour.allCases.count)]
        background.pattern = UInt32(truncatingIfNeeded: random.bits())

        shirt.kind = random.weighted(
            [.crew: 0.35, .vneck: 0.13, .collar: 0.16, .hoodie: 0.14, .striped: 0.12, .scarf: 0.1],
            otherwise: .crew)
        repeat {
            shirt.colour = NamedColour.allCases[random.below(NamedColour.allCases.count)]
        } while shirt.colour == background.colour

        if random.chance(0.25) {
            let kinds = Hat.Kind.allCases
            hat = Hat(
                kind: kinds[random.below(kinds.count)],
                colour: NamedColour.allCases[random.below(NamedColour.allCases.count)])
        }
        glasses = random.weighted([.none: 0.74, .round: 0.09, .square: 0.09, .sun: 0.08], otherwise: .none)

        scale = random.weighted([Float(0.59): 0.6, 0.51: 0.2, 0.7: 0.2], otherwise: 0.59) + random.range(-0.02, 0.02)
        centre = V2(random.middling(-0.13, 0.13), random.middling(-0.06, 0.1) + (hat == nil ? 0 : 0.07))
    }
}
