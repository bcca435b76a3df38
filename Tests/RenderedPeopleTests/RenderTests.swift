import ImageIO
import RenderedPeople
import Testing

@Suite struct RenderTests {
    /// FNV-1a of the pixels.
    static func hash(_ image: RGBImage) -> UInt64 {
        image.pixels.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    /// Mean colour of the middle of the face, where nuisance is least: between hat and shirt.
    static func faceColour(_ image: RGBImage) -> SIMD3<Float> {
        var (sum, count) = (SIMD3<Float>(), Float(0))
        let n = image.width
        for y in n * 5 / 12..<n * 8 / 12 {
            for x in n * 5 / 12..<n * 7 / 12 {
                let i = (y * n + x) * 3
                sum += SIMD3(Float(image.pixels[i]), Float(image.pixels[i + 1]), Float(image.pixels[i + 2]))
                count += 1
            }
        }
        return sum / count
    }

    static func distance(_ a: SIMD3<Float>, _ b: SIMD3<Float>) -> Float { ((a - b) * (a - b)).sum().squareRoot() }

    @Test func sameSeedsSameBytes() {
        for seed: UInt64 in [1, 2, 3, 99, .max] {
            let one = render(PersonIdentity(seed: seed), PhotoNuisance(seed: seed &+ 5))
            let two = render(PersonIdentity(seed: seed), PhotoNuisance(seed: seed &+ 5))
            #expect(one.width == 64 && one.height == 64 && one.pixels.count == 64 * 64 * 3)
            #expect(one.pixels == two.pixels)
        }
    }

    /// Drawing uses only operations that IEEE 754 fixes to the last bit, so these hold on every machine and in every
    /// build. When the drawing changes on purpose, change them and raise `renderer` in DatasetWriter.
    @Test(arguments: [(1, 0xCED87728ED6EDD47), (2, 0xD2B5DE11B23DD72D), (3, 0x5A0CE0CF5E7DC4FF)] as [(UInt64, UInt64)])
    func knownBytes(_ seed: UInt64, _ wanted: UInt64) {
        let image = render(PersonIdentity(seed: seed), PhotoNuisance(seed: seed + 100))
        #expect(Self.hash(image) == wanted, "\(seed): \(Self.hash(image))")
    }

    @Test func differentSeedsDifferentPictures() {
        let nuisance = PhotoNuisance(seed: 4)
        let people = Set((0..<50).map { Self.hash(render(PersonIdentity(seed: $0), nuisance, size: 32)) })
        #expect(people.count == 50)
        let who = PersonIdentity(seed: 4)
        let photos = Set((0..<50).map { Self.hash(render(who, PhotoNuisance(seed: $0), size: 32)) })
        #expect(photos.count == 50)
    }

    /// A larger picture, averaged down, is the smaller one: nothing depends on the size but fineness.
    @Test(arguments: [2, 3, 4]) func sizesAgree(_ factor: Int) {
        for seed: UInt64 in 0..<12 {
            let (who, photo) = (PersonIdentity(seed: seed), PhotoNuisance(seed: seed + 31))
            let small = render(who, photo, size: 48)
            let large = render(who, photo, size: 48 * factor)
            var (total, n) = (0.0, 0)
            for y in 0..<48 {
                for x in 0..<48 {
                    for c in 0..<3 {
                        var sum = 0
                        for dy in 0..<factor {
                            for dx in 0..<factor {
                                let row = (y * factor + dy) * large.width + x * factor + dx
                                sum += Int(large.pixels[row * 3 + c])
                            }
                        }
                        let mean = Double(sum) / Double(factor * factor)
                        total += abs(mean - Double(small.pixels[(y * 48 + x) * 3 + c]))
                        n += 1
                    }
                }
            }
            #expect(total / Double(n) < 2.5, "person \(seed): mean difference \(total / Double(n)) of 255")
        }
    }

    /// The colour of the face says more about who it is than about the circumstances.
    @Test func facesDifferMoreBetweenPeopleThanBetweenPhotos() {
        let (people, photos) = (40, 6)
        let colours = (0..<people).map { i in
            (0..<photos).map { j in
                Self.faceColour(
                    render(
                        DatasetWriter.identity(i, seed: 3), DatasetWriter.nuisance(person: i, photo: j, seed: 3),
                        size: 48))
            }
        }
        let means = colours.map { $0.reduce(SIMD3()) { $0 + $1 } / Float(photos) }
        var (within, between) = (Float(0), Float(0))
        for i in 0..<people {
            for j in 0..<photos {
                within += Self.distance(colours[i][j], means[i]) / Float(people * photos)
            }
            for k in 0..<people where k != i {
                between += Self.distance(means[i], means[k]) / Float(people * (people - 1))
            }
        }
        #expect(between > 1.3 * within, "between people \(between), between photos of one \(within)")
    }

    @Test func picturesAreNotFlat() {
        for seed: UInt64 in 0..<40 {
            let image = render(PersonIdentity(seed: seed), PhotoNuisance(seed: seed), size: 32)
            #expect(Set(image.pixels).count > 40, "person \(seed)")
        }
    }
}
