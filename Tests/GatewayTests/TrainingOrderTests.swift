import Contracts
import Foundation
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
        (#""from": "unet", "until": "vae""#, "from is unet and until is vae"),
        (#""from": "gan""#, "there is no part 'gan'"),
        (#""steps": {"unet": 0}"#, "steps of unet is 0"),
        (#""steps": {"gan": 5}"#, "there is no part 'gan'"),
        (#""rendered_people": 1"#, "rendered_people is 1"),
        (#""people": "lfw""#, "people is 'lfw'"),
        (#""readout": "mean""#, "there is no readout 'mean'"),
    ])
    func aBadRequestIsToldWhatIsWrong(_ field: String, _ words: String) throws {
        let request = try JSONDecoder.likeness.decode(
            TrainingRequest.self, from: Data("{\"run\": \"run\", \(field)}".utf8))
        do throws(APIError) {
            _ = try TrainingOrder(request)
            Issue.record("accepted: \(request)")
        } catch {
            #expect(error.error.contains(words))
            #expect(!error.remedy.isEmpty)
        }
    }
}
