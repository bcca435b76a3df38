import Contracts
import Foundation
import Testing
import gateway

/// What a request may ask for, and what it is told otherwise.
@Suite struct GenerateOrderTests {
    static let key = "ab/ab" + String(repeating: "0", count: 62) + ".png"

    private static func request(_ change: (inout GenerateRequest) -> Void = { _ in }) -> GenerateRequest {
        var request = GenerateRequest(person: "Ada", methods: ["all"], prompts: ["a photo"])
        change(&request)
        return request
    }

    /// A value that is refused: the answer has to name it, and to say what would do.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let request: GenerateRequest
        let names: String
        let remedy: String

        init(_ name: String, names: String, remedy: String, _ change: (inout GenerateRequest) -> Void) {
            (testDescription, self.names, self.remedy) = (name, names, remedy)
            request = GenerateOrderTests.request(change)
        }
    }

    static let refusals = [
        Refusal("no methods", names: "methods", remedy: "ip-adapter-max") { $0.methods = [] },
        Refusal("unknown method", names: "'gan'", remedy: "ip-adapter-self-attention") { $0.methods = ["all", "gan"] },
        Refusal("no prompts", names: "prompts", remedy: "at least one") { $0.prompts = [] },
        Refusal("blank prompt", names: "prompts[1]", remedy: "write") { $0.prompts = ["a", " \n"] },
        Refusal("10,000 characters", names: "10000 characters, the limit is 1000", remedy: "shorten") {
            $0.prompts = [String(repeating: "x", count: 10_000)]
        },
        Refusal("1,001 characters", names: "1001", remedy: "shorten") {
            $0.negativePrompt = String(repeating: "é", count: 1_001)
        },
        Refusal("one character of 2,000 code points", names: "2000 characters, the limit is 1000", remedy: "shorten") {
            $0.prompts = ["e" + String(repeating: "\u{301}", count: 1_999)]
        },
        Refusal("NUL in a block's name", names: "ip_adapter_scales", remedy: "block_0") {
            $0.ipAdapterScales = .blocks(["up": .blocks(["a\0": .number(1)])])
        },
        Refusal("NUL in a prompt", names: "prompts[0]", remedy: "remove") { $0.prompts = ["a\0b"] },
        Refusal("too many prompts", names: "101 prompts", remedy: "split") {
            $0.prompts = (0...100).map { "prompt \($0)" }
        },
        Refusal("steps 0", names: "steps is 0", remedy: "1 to 1000") { $0.steps = 0 },
        Refusal("steps -1", names: "steps is -1", remedy: "1 to 1000") { $0.steps = -1 },
        Refusal("steps 1001", names: "steps is 1001", remedy: "1 to 1000") { $0.steps = 1_001 },
        Refusal("scheduler", names: "'euler2'", remedy: "euler_ancestral") { $0.scheduler = "euler2" },
        Refusal("guidance NaN", names: "guidance_scale is nan", remedy: "0.0 to 50.0") { $0.guidanceScale = .nan },
        Refusal("guidance -1", names: "guidance_scale is -1.0", remedy: "0.0 to 50.0") { $0.guidanceScale = -1 },
        Refusal("guidance ∞", names: "guidance_scale is inf", remedy: "0.0 to 50.0") { $0.guidanceScale = .infinity },
        Refusal("λ NaN", names: "ip_adapter_scale is nan", remedy: "0.0 to 5.0") { $0.ipAdapterScale = .nan },
        Refusal("λ 5.1", names: "ip_adapter_scale is 5.1", remedy: "0.0 to 5.0") { $0.ipAdapterScale = 5.1 },
        Refusal("width 100", names: "width is 100", remedy: "multiple of 8, such as 104") { $0.width = 100 },
        Refusal("width 56", names: "width is 56", remedy: "64 to 1024") { $0.width = 56 },
        Refusal("height 1032", names: "height is 1032", remedy: "64 to 1024") { $0.height = 1_032 },
        Refusal("height 1023", names: "height is 1023", remedy: "such as 1024") { $0.height = 1_023 },
        Refusal("no pictures", names: "pictures is 0", remedy: "at least 1") { $0.pictures = 0 },
        Refusal("too many pictures", names: "5 method(s) × 1 prompt(s) × 201 picture(s)", remedy: "split") {
            $0.pictures = 201
        },
        Refusal("pictures beyond any product", names: "picture(s)", remedy: "split") { $0.pictures = .max },
        Refusal("references 0", names: "references is 0", remedy: "1 to 9") { $0.references = 0 },
        Refusal("seeds and pictures", names: "seeds", remedy: "either") { ($0.seeds, $0.pictures) = ([1], 1) },
        Refusal("no seeds", names: "pictures is 0", remedy: "at least 1") { $0.seeds = [] },
        Refusal("λ twice", names: "ip_adapter_scales", remedy: "either") {
            ($0.ipAdapterScale, $0.ipAdapterScales) = (1, .list([1]))
        },
        Refusal("λ of a layer", names: "ip_adapter_scales is 6.0", remedy: "0.0 to 5.0") {
            $0.ipAdapterScales = .blocks(["up": .blocks(["block_1": .list([1, 6])])])
        },
        Refusal("λ of no block", names: "'left'", remedy: "down, mid and up") {
            $0.ipAdapterScales = .blocks(["left": .number(1)])
        },
        Refusal("no λ", names: "0 numbers", remedy: "16 in Stable Diffusion") { $0.ipAdapterScales = .list([]) },
        Refusal("blocks in blocks in blocks", names: "3 levels", remedy: "block_1") {
            $0.ipAdapterScales = .blocks(["up": .blocks(["block_1": .blocks(["x": .number(1)])])])
        },
        Refusal("end before start", names: "ip_adapter_start is 0.5, ip_adapter_end 0.5", remedy: "larger") {
            ($0.ipAdapterStart, $0.ipAdapterEnd) = (0.5, 0.5)
        },
        Refusal("start", names: "ip_adapter_start is -0.1", remedy: "0.0 to 1.0") { $0.ipAdapterStart = -0.1 },
        Refusal("weights of one photo", names: "ip-adapter", remedy: "ip_adapter_scale") {
            ($0.methods, $0.photoWeights) = (["ip-adapter-max", "ip-adapter"], [1, 2])
        },
        Refusal("weights for self-attention", names: "ip-adapter-self-attention", remedy: "ip-adapter-avg") {
            ($0.methods, $0.photoWeights) = (["ip-adapter-self-attention"], [1, 2])
        },
        Refusal("weights of others", names: "2 numbers for 3 references", remedy: "one for each") {
            ($0.methods, $0.photoWeights, $0.references) = (["ip-adapter-max"], [1, 2], 3)
        },
        Refusal("weight below 0", names: "photo_weights[1] is -1.0", remedy: "0.0 to 10.0") {
            ($0.methods, $0.photoWeights) = (["ip-adapter-avg"], [1, -1])
        },
        Refusal("no weight", names: "all 0", remedy: "at least one") {
            ($0.methods, $0.photoWeights) = (["ip-adapter-avg"], [0, 0])
        },
        Refusal("mask alone", names: "mask_image is given without init_image", remedy: "POST /v1/objects") {
            $0.maskImage = GenerateOrderTests.key
        },
        Refusal("strength alone", names: "strength is given without", remedy: "init_image") { $0.strength = 0.5 },
        Refusal("a path", names: "init_image is '../../etc/passwd'", remedy: "POST /v1/objects") {
            $0.initImage = "../../etc/passwd"
        },
        Refusal("no picture's key", names: "mask_image", remedy: "object_key") {
            $0.initImage = GenerateOrderTests.key
            $0.maskImage = GenerateOrderTests.key.replacing("png", with: "safetensors")
        },
        Refusal("strength 1.1", names: "strength is 1.1", remedy: "0.0 to 1.0") {
            ($0.initImage, $0.strength) = (GenerateOrderTests.key, 1.1)
        },
        Refusal("no step", names: "strength 0.01 of 30 steps", remedy: "raise") {
            ($0.initImage, $0.strength) = (GenerateOrderTests.key, 0.01)
        },
        Refusal("a LoRA's path", names: "'../x'", remedy: "no path") { $0.loras = [LoRAUse(name: "../x")] },
        Refusal("a hidden LoRA", names: "'.x'", remedy: "no path") { $0.loras = [LoRAUse(name: ".x")] },
        Refusal("no LoRA's name", names: "loras", remedy: "without its ending") { $0.loras = [LoRAUse(name: "")] },
        Refusal("a LoRA twice", names: "'a' twice", remedy: "sum") {
            $0.loras = [LoRAUse(name: "a"), LoRAUse(name: "a")]
        },
        Refusal("a LoRA's weight", names: "'a' is 5.0", remedy: "-4.0 to 4.0") {
            $0.loras = [LoRAUse(name: "a", weight: 5)]
        },
        Refusal("nine LoRAs", names: "9 entries", remedy: "at most 8") {
            $0.loras = (0..<9).map { LoRAUse(name: "l\($0)") }
        },
        Refusal("clip skip 12", names: "clip_skip is 12", remedy: "0 to 11") { $0.clipSkip = 12 },
        Refusal("references 10", names: "references is 10", remedy: "1 to 9") { $0.references = 10 },
    ]

    @Test(arguments: refusals) func refuses(_ refusal: Refusal) throws {
        let error = try #require(throws: APIError.self) { try GenerateOrder(refusal.request) }
        #expect(error.status == 422)
        #expect(error.error.contains(refusal.names), "\(error.error)")
        #expect(error.remedy.contains(refusal.remedy), "\(error.remedy)")
    }

    @Test func fillsInWhatWasNotSaid() throws {
        let order = try GenerateOrder(Self.request())
        #expect(order.methods == Method.paper)
        #expect(order.negativePrompt == "")
        #expect(order.pictures == 1)
        #expect(order.seed == 0)
        #expect(order.sampling == Sampling())
        #expect(order.references == nil)
        #expect(order.evaluate)
        #expect(order.notices.isEmpty)
    }

    @Test func takesTheLimitsThemselves() throws {
        let order = try GenerateOrder(
            Self.request {
                $0.prompts = [String(repeating: "x", count: 1_000)]
                ($0.steps, $0.pictures, $0.references) = (1_000, 200, 9)
                ($0.guidanceScale, $0.ipAdapterScale) = (0, 5)
                ($0.width, $0.height, $0.seed, $0.scheduler) = (64, 1_024, .max, "dpmpp_2m_karras")
                $0.evaluate = false
            })
        #expect(order.sampling.scheduler == .dpmpp2MKarras)
        #expect(order.sampling.steps == 1_000)
        #expect(order.sampling.width == 64)
        #expect(order.sampling.height == 1_024)
        #expect(order.pictures == 200)
        #expect(order.seed == .max)
        #expect(!order.evaluate)
    }

    @Test func takesEverythingElseThatCanBeSaid() throws {
        let order = try GenerateOrder(
            Self.request {
                ($0.methods, $0.seeds) = (["ip-adapter-max"], [7, 5, .max])
                $0.ipAdapterScales = .blocks(["down": .number(1), "up": .blocks(["block_1": .list([0, 1, 0])])])
                ($0.ipAdapterStart, $0.ipAdapterEnd, $0.photoWeights) = (0.1, 0.9, [0.5, 2])
                ($0.initImage, $0.maskImage) = (Self.key, Self.key)
                ($0.loras, $0.clipSkip, $0.embedParameters) = ([LoRAUse(name: "a b")], 1, false)
            })
        #expect(order.seeds == [7, 5, .max] && order.pictures == 3 && order.seed == 7)
        #expect(order.references == 2 && order.photoWeights == [0.5, 2])
        // With a mask everything under it is drawn anew, else a fifth of the picture's steps is left out.
        #expect(order.sampling.change == PictureChange(image: Self.key, mask: Self.key, strength: 1))
        #expect(try GenerateOrder(Self.request { $0.initImage = Self.key }).sampling.change?.strength == 0.8)
        #expect(order.reading == PromptReading(clipSkip: 1, loras: [LoRAUse(name: "a b", weight: 1)]))
        #expect(!order.embedParameters)
        #expect(order.sampling.ipAdapterStart == 0.1 && order.sampling.ipAdapterEnd == 0.9)
    }

    @Test func takesThePicturesSizeInStepsOfEight() throws {
        var order = try GenerateOrder(Self.request { ($0.initImage, $0.height) = (Self.key, 80) })
        try order.fill((width: 111, height: 4_000))
        #expect(order.sampling.width == 104 && order.sampling.height == 80)
        var large = try GenerateOrder(Self.request { $0.initImage = Self.key })
        let error = try #require(throws: APIError.self) { try large.fill((width: 512, height: 4_000)) }
        #expect(error.error.contains("height of 4000") && error.remedy.contains("64 to 1024"))
    }

    /// A request's JSON, as people write it.
    @Test func readsScalesInEveryForm() throws {
        func read(_ scales: String) throws -> LayerScales? {
            let json = #"{"person": "Ada", "methods": ["all"], "prompts": ["a"], "ip_adapter_scales": \#(scales)}"#
            let request = try APIError.decode(GenerateRequest.self, from: Data(json.utf8), of: "the job")
            // What is stored and sent on is read again as the same.
            let again = try JSONDecoder.likeness.decode(
                GenerateRequest.self, from: JSONEncoder.likeness.encode(request))
            #expect(again == request)
            return request.ipAdapterScales
        }
        #expect(try read("[0.5, 1]") == .list([0.5, 1]))
        #expect(
            try read(#"{"down": 1, "up": {"block_1": [0, 1.5, 0], "block_2": 0.25}}"#)
                == .blocks([
                    "down": .number(1), "up": .blocks(["block_1": .list([0, 1.5, 0]), "block_2": .number(0.25)]),
                ]))
        let error = try #require(throws: APIError.self) { try read(#""all""#) }
        #expect(error.error.contains("ip_adapter_scales") && error.error.contains("a list of numbers"), "\(error)")
    }

    @Test func usesRepeatedMethodsAndPromptsOnce() throws {
        let order = try GenerateOrder(
            Self.request {
                $0.methods = ["ip-adapter-max", "all", "ip-adapter-max", "ip-adapter-self-attention-avg"]
                $0.prompts = ["b", "a", "b"]
            })
        #expect(
            order.methods == [
                .ipAdapterMax, .dreambooth, .ipAdapter, .ipAdapterAvg, .ipAdapterSelfAttention,
                .ipAdapterSelfAttentionAvg,
            ])
        #expect(order.prompts == ["b", "a"])
        #expect(order.notices.count == 1)
    }
}
