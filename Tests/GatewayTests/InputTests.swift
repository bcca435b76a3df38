import Contracts
import Foundation
import Testing
import gateway

/// Names, and JSON that cannot be read.
@Suite struct InputTests {
    @Test(arguments: [
        ("", "empty"), ("  \t", "empty"), ("a/b", "a/b"), ("a\\b", "slash"), ("a\u{7}b", "control"),
        ("a\nb", "control"), ("a\0b", "control"), ("..", "'..'"), (".", "'.'"),
        (String(repeating: "n", count: 101), "101 characters"), ("0b0e1b5e-3a54-4b64-8f3e-1d2c3b4a5f60", "id"),
    ])
    func refusesName(_ name: String, _ problem: String) throws {
        let error = try #require(throws: APIError.self) { try PersonName(name) }
        #expect(error.status == 422)
        #expect(error.error.contains(problem), "\(error.error)")
    }

    @Test(arguments: ["Ada", "Łukasz Żółć", "李小龙", "O'Neill-Smith, Jr.", "50%", String(repeating: "ü", count: 100)])
    func takesName(_ name: String) throws { #expect(try PersonName(" " + name + "\n").text == name) }

    @Test(arguments: [
        ("", "the job cannot be read"),
        ("{\"person\": ", "the job cannot be read"),
        ("[]", "a JSON object"),
        (#"{"methods": ["all"], "prompts": ["a"]}"#, "'person' is missing"),
        (#"{"person": "A", "methods": ["all"], "prompts": ["a", 7]}"#, "'prompts[1]' must be a string"),
        (#"{"person": "A", "methods": "all", "prompts": ["a"]}"#, "'methods' must be a list"),
        (#"{"person": "A", "methods": ["all"], "prompts": ["a"], "guidance_scale": "7"}"#, "'guidance_scale'"),
        (#"{"person": "A", "methods": ["all"], "prompts": ["a"], "steps": 2.5}"#, "'steps'"),
        (#"{"person": "A", "methods": ["all"], "prompts": ["a"], "seed": -1}"#, "'seed'"),
        (#"{"person": "A", "methods": ["all"], "prompts": ["a"], "guidance_scale": 1e999}"#, "guidance_scale"),
        (#"{"person": "A", "methods": ["all"], "prompts": ["a"], "guidance_scale": NaN}"#, "the job cannot be read"),
    ])
    func saysWhereJSONIsWrong(_ json: String, _ place: String) throws {
        let error = try #require(throws: APIError.self) {
            try APIError.decode(GenerateRequest.self, from: Data(json.utf8), of: "the job")
        }
        #expect(error.status == 400)
        #expect(error.error.contains(place), "\(error.error)")
        #expect(!error.remedy.isEmpty)
    }
}
