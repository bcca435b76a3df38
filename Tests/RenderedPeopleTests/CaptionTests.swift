import RenderedPeople
import Testing

@Suite struct CaptionTests {
    static let captions = (0..<400).map { caption(PhotoNuisance(seed: $0)) }

    @Test func captionsNameTheClassAndNothingOfTheIdentity() {
        // Words of identity that a caption must never hold: they belong to PersonIdentity alone.
        let forbidden = [
            "hair", "beard", "bald", "skin", "freckle", "nose", "eyes", "moustache", "man", "woman", "old",
        ]
        for text in Self.captions {
            #expect(
                text.hasPrefix("a photo of ") || text.hasPrefix("a close-up photo of ") || text.hasPrefix("a distant "))
            let words = Set(text.split { !$0.isLetter }.map(String.init))
            #expect(words.contains("person"))
            #expect(words.isDisjoint(with: forbidden), "\(text)")
            #expect(words.count < 40)
        }
    }

    @Test func captionsSayWhatDiffers() {
        #expect(Set(Self.captions).count > 300)
        for word in [
            "smiling", "laughing", "sad", "surprised", "an angry", "winking", "sleeping", "cap", "beanie", "sun hat",
            "bowler hat", "party hat", "sunglasses", "round glasses", "left", "right", "up", "down", "straight ahead",
            "striped background", "gradient", "brick wall", "beach", "warm light", "dim light", "tilted", "close-up",
            "distant", "hoodie", "scarf",
        ] {
            #expect(Self.captions.contains { $0.contains(word) }, "no caption says \(word)")
        }
    }

    @Test func theNounCanBeReplaced() {
        let plain = caption(PhotoNuisance(seed: 8))
        let rare = caption(PhotoNuisance(seed: 8), noun: "sks person")
        #expect(rare == plain.replacing("person", with: "sks person"))
    }
}
