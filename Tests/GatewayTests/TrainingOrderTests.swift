import Contracts
import Testing
import gateway

struct TrainingOrderTests {
    @Test func aRunTrainsEveryPartInOrder() throws {
        #expect(try TrainingOrder(TrainingRequest(run: "first-1")).stages == CurriculumStage.allCases)
    }

    @Test func aRunMayBeginAndEndWithAnyPart() throws {
        var request = TrainingRequest(run: "part")
        (request.from, request.until) = ("identity", "ip-adapter")
        #expect(try TrainingOrder(request).stages == [.identity, .ipAdapter])
    }

    @Test(arguments: ["", "Upper", "a/b", "..", "-x", String(repeating: "a", count: 65)])
    func aRunIsNotNamed(_ name: String) {
        #expect(throws: APIError.self) { try TrainingOrder(TrainingRequest(run: name)) }
    }

    @Test(arguments: [
        ({ $0.from = "unet"; $0.until = "vae" }, "from is unet and until is vae"),
        ({ $0.from = "gan" }, "there is no part 'gan'"),
        ({ $0.steps = ["unet": 0] }, "steps of unet is 0"),
        ({ $0.steps = ["gan": 5] }, "there is no part 'gan'"),
        ({ $0.renderedPeople = 1 }, "rendered_people is 1"),
        ({ $0.people = "lfw" }, "people is 'lfw'"),
        ({ $0.readout = "mean" }, "there is no readout 'mean'"),
    ] as [(@Sendable (inout TrainingRequest) -> Void, String)])
    func aBadRequestIsToldWhatIsWrong(_ change: @Sendable (inout TrainingRequest) -> Void, _ words: String) {
        var request = TrainingRequest(run: "run")
        change(&request)
        do {
            _ = try TrainingOrder(request)
            Issue.record("accepted: \(request)")
        } catch {
            #expect(error.error.contains(words))
            #expect(!error.remedy.isEmpty)
        }
    }
}
