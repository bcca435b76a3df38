/// What makes a rendered person that person: drawn once from a seed, the same in every photo.
///
/// Lengths are in units of half the head's height; (0, 0) is the middle of the face, y grows downwards.
public struct PersonIdentity: Sendable, Hashable {
    /// The seed that everything else follows from.
    public let seed: UInt64

    var skin = Skin()
    var face = Face()
    var eyes = Eyes()
    var brows = Brows()
    var nose = Nose()
    var mouth = Mouth()
    var ears = Ears()
    var hair = Hair()
    var beard = Beard.none

    struct Skin: Hashable {
        var tone = RGB()
        var blush: Float = 0
        var freckles: Float = 0
        /// Seed of the freckles' places.
        var pattern: UInt32 = 0
        /// A mole, or none.
        var mole: V2?
        /// 0 young … 1 old: lines.
        var age: Float = 0
    }

    struct Face: Hashable {
        var width: Float = 0
        /// Squareness of the jaw, 0 … 0.7.
        var square: Float = 0
        /// Narrowing towards the chin.
        var taper: Float = 0
        var neck: Float = 0
        var shoulders: Float = 0
        var cleft = false
    }

    struct Eyes: Hashable {
        var spread: Float = 0
        var height: Float = 0
        var width: Float = 0
        var up: Float = 0
        var down: Float = 0
        var tilt: Float = 0
        var colour = RGB()
        var iris: Float = 0
        var lashes: Float = 0
        var crease: Float = 0
        /// Colour of eye shadow, or none.
        var shadow: RGB?
    }

    struct Brows: Hashable {
        var gap: Float = 0
        var length: Float = 0
        var thickness: Float = 0
        var arch: Float = 0
        var slant: Float = 0
        var colour = RGB()
    }

    struct Nose: Hashable {
        var tip: Float = 0
        var width: Float = 0
        var bridge: Float = 0
        var round: Float = 0
    }

    struct Mouth: Hashable {
        var height: Float = 0
        var width: Float = 0
        var upper: Float = 0
        var lower: Float = 0
        var bow: Float = 0
        var colour = RGB()
        var gap = false
    }

    struct Ears: Hashable {
        var size: Float = 0
        var out: Float = 0
        var ring: Ring = .none
        var metal = RGB()

        enum Ring: Hashable { case none, stud, hoop, drop }
    }

    struct Hair: Hashable {
        var style = HairStyle.crop
        var colour = RGB()
        /// Thickness over the skull.
        var volume: Float = 0
        /// Top of the forehead (negative).
        var line: Float = 0
        /// −1 or 1: the side of the parting.
        var side: Float = 1
        var pattern: UInt32 = 0
        /// Sides shaved or greying.
        var fade: Float = 0
    }

    enum HairStyle: CaseIterable, Hashable {
        case bald, buzz, crop, sidePart, quiff, spiky, mohawk, receding, bowl, curly, afro
        case pixie, bob, straight, fringe, wavy, ringlets, bun, spaceBuns, ponytail, pigtails, braids
    }

    enum Beard: CaseIterable, Hashable { case none, stubble, moustache, handlebar, goatee, full, long, chinstrap }
}

extension PersonIdentity {
    /// Draws a person: skin, face shape, eyes, brows, nose, mouth, ears, hair, beard, marks.
    public init(seed: UInt64) {
        self.seed = seed
        var random = CounterRandom(CounterRandom.key(1, seed))
        // One hidden number keeps the parts plausible together (beards, lashes, long hair), without deciding any alone.
        let soft = random.unit()
        // Old people are few, and mostly grey.
        let age = clamp((random.unit() - 0.55) / 0.45)

        skin.tone = Self.skinTone(&random)
        let dark = 1 - luminance(skin.tone)
        skin.blush = random.unit() * (soft > 0.5 ? 1 : 0.6)
        skin.freckles = random.chance(dark < 0.4 ? 0.28 : 0.06) ? random.range(0.5, 1) : 0
        skin.pattern = UInt32(truncatingIfNeeded: random.bits())
        skin.mole = random.chance(0.2) ? V2(random.pick(-1, 1) * random.range(0.2, 0.5), random.range(0.2, 0.75)) : nil
        skin.age = age

        face.width = random.range(0.68, 0.85)
        face.square = random.unit() * (soft > 0.5 ? 0.35 : 0.75)
        face.taper = random.range(0.02, 0.36) * (1.1 - face.square * 0.6)
        face.neck = mix(0.46, 0.3, soft) * random.range(0.9, 1.1)
        face.shoulders = mix(1.25, 1.0, soft) * random.range(0.92, 1.08)
        face.cleft = random.chance(0.15)

        hair = Self.hair(&random, soft: soft, age: age, dark: dark)
        beard = Self.beard(&random, soft: soft)
        drawFeatures(&random, soft: soft, age: age)
    }

    private static func skinTone(_ random: inout CounterRandom) -> RGB {
        let tones: [RGB] = [
            hex(0xFBE0CE), hex(0xF6D0B1), hex(0xF0BF95), hex(0xE2A878), hex(0xCB8D5C), hex(0xAD7246), hex(0x8A5632),
            hex(0x653C24), hex(0x4A2B1C),
        ]
        let place = random.unit() * Float(tones.count - 1)
        let i = min(Int(place), tones.count - 2)
        let tone = mix(tones[i], tones[i + 1], place - Float(i))
        // Undertone: rosy to olive.
        let warm = random.range(-1, 1)
        return tone + RGB(0.016, -0.010, -0.022) * warm
    }

    private static func hair(_ random: inout CounterRandom, soft: Float, age: Float, dark: Float) -> Hair {
        var hair = Hair()
        let short: KeyValuePairs<HairStyle, Float> = [
            .bald: age > 0.3 ? 1.6 : 0.6, .buzz: 1, .crop: 1.1, .sidePart: 1.2, .quiff: 1.2, .spiky: 0.9,
            .mohawk: 0.5, .receding: age > 0.2 ? 1.6 : 0.2, .bowl: 0.6, .curly: 1.2, .afro: 0.5 + dark,
            .wavy: 0.3, .bun: 0.3,
        ]
        let long: KeyValuePairs<HairStyle, Float> = [
            .pixie: 0.9, .bob: 1.1, .straight: 1.1, .fringe: 1.2, .wavy: 1.2, .ringlets: 1, .bun: 1,
            .spaceBuns: 0.6, .ponytail: 0.9, .pigtails: 0.8, .braids: 0.9, .afro: 0.3 + dark, .curly: 0.5,
            .buzz: 0.15,
        ]
        hair.style = random.weighted(soft < 0.5 ? short : long, otherwise: .crop)

        let natural: KeyValuePairs<RGB, Float> = [
            hex(0x1D1A1C): 1.2 + dark * 2, hex(0x33241E): 1.2 + dark, hex(0x4E3424): 1.1, hex(0x6F4A2D): 1,
            hex(0x8F5A30): dark > 0.6 ? 0.1 : 0.8, hex(0xB4562A): dark > 0.6 ? 0.15 : 0.9,
            hex(0xD0893F): dark > 0.6 ? 0.15 : 0.7, hex(0xE0B566): dark > 0.6 ? 0.2 : 0.9,
            hex(0xF0DCA0): dark > 0.6 ? 0.15 : 0.6, hex(0x7A2530): 0.35,
        ]
        let dyed: KeyValuePairs<RGB, Float> = [
            hex(0xE678A8): 1, hex(0x3F7FC4): 1, hex(0x37A59B): 1, hex(0x7E57B5): 1, hex(0xD23E3E): 0.8,
            hex(0x5FAE57): 0.6,
        ]
        let grey: KeyValuePairs<RGB, Float> = [hex(0x8B8C92): 1, hex(0xB9BABF): 1, hex(0xE9E7E3): 1]
        let group = age > 0.35 && random.chance(0.75) ? grey : random.chance(0.13) ? dyed : natural
        hair.colour = scaled(random.weighted(group, otherwise: hex(0x33241E)), random.range(0.9, 1.1))
        hair.volume = random.range(0.05, 0.17)
        hair.line = random.range(-0.64, -0.46)
        hair.side = random.pick(-1, 1)
        hair.pattern = UInt32(truncatingIfNeeded: random.bits())
        hair.fade = random.unit()
        return hair
    }

    private static func beard(_ random: inout CounterRandom, soft: Float) -> Beard {
        guard soft < 0.46, random.chance(0.62) else { return .none }
        return random.weighted(
            [
                .stubble: 1, .moustache: 1, .handlebar: 0.7, .goatee: 1, .full: 1.5, .long: 0.8,
                .chinstrap: 0.6,
            ], otherwise: .none)
    }

    private mutating func drawFeatures(_ random: inout CounterRandom, soft: Float, age: Float) {
        eyes.spread = random.range(0.29, 0.37)
        eyes.height = random.range(-0.03, 0.1)
        eyes.width = random.range(0.145, 0.2)
        eyes.up = random.range(0.09, 0.14)
        eyes.down = random.range(0.06, 0.095)
        eyes.tilt = random.range(-0.16, 0.24)
        eyes.iris = random.range(0.088, 0.112)
        eyes.colour = random.weighted(
            [
                hex(0x3A2417): 1.6, hex(0x5F3B1E): 1.3, hex(0x8A6A32): 0.8, hex(0x4E7A45): 0.9,
                hex(0x3F74B0): 1, hex(0x7FA8C9): 0.7, hex(0x76808A): 0.6,
            ], otherwise: hex(0x3A2417))
        eyes.lashes = soft > 0.5 ? random.range(0.5, 1) : random.range(0, 0.25)
        eyes.crease = random.unit()
        eyes.shadow =
            soft > 0.6 && random.chance(0.4)
            ? random.pick(hex(0x9A6BB0), hex(0x5C8FB8), hex(0xB97A5A), hex(0x6BA08A), hex(0xC76C8C)) : nil

        brows.gap = random.range(0.18, 0.26)
        brows.length = random.range(0.15, 0.22)
        brows.thickness = mix(0.045, 0.028, soft) * random.range(0.65, 1.5)
        brows.arch = random.range(0, 0.09)
        brows.slant = random.range(-0.06, 0.07)
        let unseen = hair.style == .bald && luminance(hair.colour) > 0.6
        brows.colour = scaled(
            unseen ? scaled(skin.tone, 0.55) : hair.colour, luminance(hair.colour) > 0.35 ? 0.72 : 0.9)

        nose.tip = random.range(0.3, 0.44)
        nose.width = random.range(0.095, 0.2)
        nose.bridge = random.unit()
        nose.round = random.unit()

        mouth.height = random.range(0.56, 0.66)
        mouth.width = random.range(0.2, 0.33)
        mouth.upper = random.range(0.024, 0.06)
        mouth.lower = random.range(0.04, 0.085)
        mouth.bow = random.unit()
        mouth.gap = random.chance(0.12)
        let lips = mix(skin.tone * RGB(0.86, 0.6, 0.58), hex(0xC2645F), 0.35)
        let stick = random.pick(hex(0xC2283A), hex(0xD5537C), hex(0x8E2A46), hex(0xE0654F), hex(0x7B3A63))
        mouth.colour = soft > 0.55 && random.chance(0.45) ? mix(lips, stick, 0.85) : lips

        ears.size = random.range(0.15, 0.22)
        ears.out = random.range(0, 0.09)
        ears.ring = random.chance(mix(0.1, 0.6, soft)) ? random.pick(.stud, .hoop, .drop) : .none
        ears.metal = random.pick(hex(0xE8BE4A), hex(0xD9DEE4), hex(0xD84B5B), hex(0x3F9FB5))
    }
}
