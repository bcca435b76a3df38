import Diffusion
import Testing
import Training

@Suite struct DreamBoothSettingsTests {
    @Test func aCaptionIsShownWithTheIdentifierPutIn() {
        let settings = DreamBoothSettings()
        #expect(settings.instancePrompt(of: "a photo of a smiling person") == "a photo of a smiling sks person")
        #expect(settings.instancePrompt(of: nil) == "a sks person")
    }

    @Test func stableDiffusionIsTunedAsInItsPaper() {
        let settings = DreamBoothSettings(for: .sd15)
        #expect(settings.instancePrompt(of: "a photo of a smiling person") == "a sks person")
        #expect(settings.timestepSampling == .uniform)
        #expect(settings.lowRank.rank == 4)
    }
}
