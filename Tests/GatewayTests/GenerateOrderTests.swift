import Contracts
import Testing
import gateway

/// What a request may ask for, and what it is told otherwise.
@Suite struct GenerateOrderTests {
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
