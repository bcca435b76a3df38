import CLIP
import Checkpoint
import Diffusion
import Foundation
import ImageIO
import ModelFolder
import TensorEngine
import Testing

/// What requests may ask for, against latents that diffusers' pipelines made of the same tiny model, prompt, photo and noise
/// (`Fixtures/requests/make.py`). Pictures are 104×72, so that the latents' sides are odd: 13×9.
@Suite struct RequestTests {
    /// A request and the name of diffusers' latent of it.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let draw: @Sendable (RequestModel) throws -> Tensor

        init(_ name: String, _ draw: @escaping @Sendable (RequestModel) throws -> Tensor) {
            (testDescription, self.draw) = (name, draw)
        }
    }

    static let layers: [Case] = [
        Case("plain") { try $0.latent(.ddim) },
        Case("scales_blocks") {
            try $0.latent(.ddim) {
                $0.layerScales = .blocks([
                    "down": .blocks(["block_1": .number(0.9)]), "mid": .number(0.4),
                    "up": .blocks(["block_1": .list([0, 1]), "block_2": .number(0.3)]),
                ])
            }
        },
        Case("scales_list") { try $0.latent(.ddim) { $0.layerScales = .list([0.1, 0.9, 0.5, 1, 0, 0.7, 0.2]) } },
        Case("range") { try $0.latent(.euler, steps: 6) { $0.ipAdapterRange = (0.2, 0.7) } },
    ]

    static let changes: [Case] =
        ["ddim", "euler", "dpmpp_2m", "dpmpp_2m_karras", "pndm", "heun", "unipc", "euler_ancestral", "lcm"].map {
            name in
            Case("img2img_" + name) {
                try $0.latent(#require(SchedulerKind(rawValue: name)), steps: 7, picture: RequestModel.picture) {
                    $0.strength = 0.6
                }
            }
        } + [
            Case("img2img_whole") { try $0.latent(.euler, steps: 4, picture: RequestModel.picture) }
        ]
        + ["ddim", "euler", "dpmpp_2m", "dpmpp_2m_karras", "heun"].map { name in
            Case("inpaint_" + name) {
                try $0.latent(
                    #require(SchedulerKind(rawValue: name)), steps: 7, picture: RequestModel.picture,
                    mask: RequestModel.mask
                ) { $0.strength = 0.6 }
            }
        } + [
            Case("inpaint_whole") {
                try $0.latent(.euler, picture: RequestModel.picture, mask: RequestModel.mask)
            }
        ]

    static let masked: [Case] = [
        Case("inpaint_9") { try $0.latent(.ddim, picture: RequestModel.picture, mask: RequestModel.mask) },
        Case("inpaint_9_part") {
            try $0.latent(.dpmpp2M, steps: 7, picture: RequestModel.picture, mask: RequestModel.mask) {
                $0.strength = 0.6
            }
        },
    ]

    static let addOns: [Case] = [
        Case("clip_skip") { try $0.latent(.ddim, clipSkip: 1) },
        Case("lora_one") { try $0.latent(.ddim, loras: [LoRAChoice(name: "lora_a", weight: 0.7)]) },
        Case("lora_two") {
            try $0.latent(
                .ddim, loras: [LoRAChoice(name: "lora_a", weight: 0.7), LoRAChoice(name: "lora_b", weight: -0.4)])
        },
        Case("lora_metadata") { try $0.latent(.ddim, loras: [LoRAChoice(name: "lora_c", weight: 0.9)]) },
        Case("lora_patterns") { try $0.latent(.ddim, loras: [LoRAChoice(name: "lora_d", weight: 0.8)]) },
        Case("lcm_lora") {
            try $0.latent(.lcm, steps: 4, guidance: 1, loras: [LoRAChoice(name: "lora_b", weight: 1)])
        },
        Case("lcm_lora_img2img") {
            try $0.latent(
                .lcm, steps: 6, guidance: 1, loras: [LoRAChoice(name: "lora_b", weight: 1)],
                picture: RequestModel.picture
            ) { $0.strength = 0.7 }
        },
        Case("inversion") { try $0.latent(.ddim, prompt: "a photo of <tuft>, many red third hat") },
    ]

    @Test func agreesWithDiffusers() throws {
        try withModel { try compare(Self.layers + Self.changes + Self.addOns, $0) }
        try withModel(channels: 9) { try compare(Self.masked, $0) }
    }

    /// Relative RMS below 1e-4 of diffusers' own latent in float32.
    private func compare(_ cases: [Case], _ model: RequestModel) throws {
        let wanted = try SafetensorsFile(RequestModel.fixtures.appendingPathComponent("latents.safetensors"))
        var seen: [[Float]] = []
        for one in cases {
            let want = try wanted.tensor(one.testDescription).scalars
            let got = try one.draw(model).scalars
            let error = Self.distance(got, want)
            #expect(error < 1e-4, "\(one.testDescription): relative RMS \(error)")
            // Each case is its own: none would pass as another.
            for other in seen { #expect(Self.distance(want, other) > 1e-3, "\(one.testDescription)") }
            seen.append(want)
        }
    }

    @Test func safetyCheckerAgreesWithDiffusers() throws {
        try withModel { model in
            let wanted = try SafetensorsFile(RequestModel.fixtures.appendingPathComponent("latents.safetensors"))
            let checker = try #require(try SafetyChecker(model.folder))
            let red = RGBImage(width: 40, height: 50, colour: [200, 30, 60])
            let (scores, flags) = (try wanted.tensor("safety_scores"), try wanted.tensor("safety_flags").scalars)
            for (i, picture) in [RequestModel.picture, RequestModel.mask, red].enumerated() {
                #expect(zip(checker.scores(picture), scores[i].scalars).allSatisfy { abs($0 - $1) < 6e-4 })
                #expect(checker.flags(picture) == (flags[i] > 0))
            }
            #expect(flags.contains(0) && flags.contains(1))
            try FileManager.default.removeItem(at: model.folder.url.appendingPathComponent("safety_checker"))
            #expect(try SafetyChecker(model.folder) == nil)
        }
    }

    @Test func aLoRAChangesNoOtherPicture() throws {
        try withModel { model in
            let before = try model.latent(.ddim, steps: 2).scalars
            let changed = try model.latent(.ddim, steps: 2, loras: [LoRAChoice(name: "lora_a", weight: 1)]).scalars
            #expect(try model.latent(.ddim, steps: 2).scalars == before)
            #expect(Self.distance(changed, before) > 1e-2)
            // A weight of 0 is no LoRA at all.
            #expect(try model.latent(.ddim, steps: 2, loras: [LoRAChoice(name: "lora_a", weight: 0)]).scalars == before)
        }
    }

    @Test func whatCannotBeDoneIsSaid() throws {
        try withModel { model in
            let addOns = AddOns(model.folder)
            func error(_ words: String..., of body: () throws -> Void) {
                #expect { try body() } throws: { error in words.allSatisfy { "\(error)".contains($0) } }
            }
            error("'x'", "lora_a, lora_b, lora_c, lora_d") { _ = try addOns.find([LoRAChoice(name: "x", weight: 1)]) }
            for name in ["../loras/lora_a", "lora_a.safetensors", "", ".", "..", "/etc/passwd"] {
                error("no LoRA") { _ = try addOns.find([LoRAChoice(name: name, weight: 1)]) }
            }
            let scales: [(LayerScales, String)] = [
                (.list([1, 2]), "7 cross-attention layers"), (.blocks(["left": .number(1)]), "left"),
                (.blocks(["down": .blocks(["block_2": .number(1)])]), "block_0, block_1"),
                (.blocks(["up": .blocks(["block_1": .list([1, 2, 3])])]), "2 layers"),
            ]
            for (scale, words) in scales {
                error(words) { _ = try model.latent(.ddim) { $0.layerScales = scale } }
            }
            let embeddings = model.folder.url.appendingPathComponent("embeddings")
            try SafetensorsWriter.write(
                ["emb_params": .zeros([2, 768])], to: embeddings.appendingPathComponent("big.pt"))
            error("big.pt", "32 columns") { _ = try model.latent(.ddim, prompt: "a big hat") }
            #expect(try addOns.words(in: "a bigger hat", width: 32).isEmpty)
        }
        try withModel(channels: 9) { model in
            #expect { try model.latent(.ddim) } throws: { "\($0)".contains("mask_image") }
            #expect { try model.latent(.ddim, picture: RequestModel.picture) } throws: {
                "\($0)".contains("mask_image")
            }
        }
    }

    /// A learned word is one only where it stands alone, in any case, and has its piece's weight.
    @Test func learnedWordsAreWholeWords() throws {
        try withModel { model in
            let tokenizer = try model.folder.tokenizer()
            let text = "MANY manyx xmany (many:1.5), <Tuft>s tuft-file"
            let words = try AddOns(model.folder).words(in: text, width: 32).map(\.word)
            #expect(words.map(\.names) == [["many"], ["tuft-file", "<tuft>"]])
            let encoder = PromptEncoder(tokenizer, try model.folder.text(), words: words)
            let tokens = encoder.tokens(of: text)
            let learned = tokens.filter { $0.id >= tokenizer.vocabularySize }
            #expect(learned.map { $0.id - tokenizer.vocabularySize } == [0, 1, 2, 0, 1, 2, 3, 3])
            #expect(learned.map(\.weight) == [1, 1, 1, 1.5, 1.5, 1.5, 1, 1])
            let between = tokenizer.words(of: " manyx xmany ") + tokenizer.words(of: ", ") + tokenizer.words(of: "s ")
            #expect(tokens.filter { $0.id < tokenizer.vocabularySize }.map(\.id) == between)
        }
    }

    /// Where the mask is black the latent ends as the picture's own.
    @Test func whatTheMaskKeepsIsKept() throws {
        try withModel { model in
            let black = RGBImage(width: 8, height: 8, colour: .zero)
            let one = try model.latent(.ddim, steps: 3, picture: RequestModel.picture, mask: black).scalars
            let two = try model.latent(
                .euler, steps: 5, prompt: "red", picture: RequestModel.picture, mask: black
            ) { $0.strength = 0.5 }.scalars
            #expect(one == two)
            let white = RGBImage(width: 8, height: 8, colour: [255, 255, 255])
            let all = try model.latent(.ddim, steps: 3, picture: RequestModel.picture, mask: white).scalars
            #expect(all == (try model.latent(.ddim, steps: 3).scalars))
        }
    }

    static func distance(_ a: [Float], _ b: [Float]) -> Double {
        let difference = zip(a, b).reduce(0.0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
        return (difference / b.reduce(0.0) { $0 + Double($1) * Double($1) }).squareRoot()
    }

    func withModel(channels: Int = 4, _ body: (RequestModel) throws -> Void) throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("requests-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: url) }
        try body(RequestModel(channels: channels, at: url))
    }
}
