import Contracts
import Foundation
import TestSupport
import Testing

/// Bad input is answered with what is wrong and what to do; nothing is queued and the gateway stays up.
@Suite struct BadInputTests {
    /// Expects an `ErrorView` with this status whose words contain all of `parts`.
    private func expect(
        _ status: Int, _ parts: String..., of answer: RunningGateway.Answer,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        #expect(answer.status == status, "\(answer.text)", sourceLocation: location)
        let view = try answer.decode(ErrorView.self)
        for part in parts {
            #expect((view.error + "; " + view.remedy).contains(part), "\(view)", sourceLocation: location)
        }
        #expect(!view.remedy.isEmpty, sourceLocation: location)
    }

    @Test func photos() async throws {
        try await withGateway(.shared) { gateway in
            _ = try await gateway.post("/v1/people", NewPerson(name: "Ada"))
            func send(_ data: Data, as name: String) async throws -> RunningGateway.Answer {
                try await gateway.send("POST", "/v1/people/Ada/photos", data, headers: ["X-Filename": name])
            }
            try expect(415, "text.png", "PNG", "convert", of: await send(Data("no picture".utf8), as: "text.png"))
            try expect(422, "none.png", "0 bytes", of: await send(Data(), as: "none.png"))
            try expect(422, "cut.jpg", "JPEG", "again", of: await send(Pictures.cutOffJPEG(), as: "cut.jpg"))
            try expect(413, "bomb.png", "20000", "scale", of: await send(Pictures.bomb, as: "bomb.png"))
            let large = Data(count: 25_000_001)
            try expect(413, "large.png", "25", of: await send(large, as: "large.png"))
            try expect(400, "X-Filename", "percent", of: await send(Pictures.png(1), as: "50%"))
            try expect(422, "filename", of: await send(Pictures.png(1), as: String(repeating: "x", count: 1_001)))
            try expect(
                404, "Eve", of: await gateway.send("POST", "/v1/people/Eve/photos", Pictures.png(1)))

            #expect(try await gateway.count("photos") == 0)
            #expect(try await gateway.count("tasks") == 0)
            #expect(!FileManager.default.fileExists(atPath: gateway.objects.path))
            #expect(try await send(Pictures.png(1), as: "good.png").status == 201)
        }
    }

    @Test func jobs() async throws {
        try await withGateway(.shared) { gateway in
            for name in ["Ada", "Bob"] { _ = try await gateway.post("/v1/people", NewPerson(name: name)) }
            _ = try await gateway.send("POST", "/v1/people/Ada/photos", Pictures.png(1))
            let tasks = try await gateway.count("tasks")
            func send(_ change: (inout GenerateRequest) -> Void) async throws -> RunningGateway.Answer {
                var request = GenerateRequest(person: "Ada", methods: ["ip-adapter"], prompts: ["a photo"])
                change(&request)
                return try await gateway.post("/v1/jobs", request)
            }
            let long = String(repeating: "x", count: 10_000)
            try expect(422, "10000", "limit is 1000", of: await send { $0.prompts = [long] })
            try expect(422, "steps is 0", "1 to 1000", of: await send { $0.steps = 0 })
            try expect(422, "'gan'", "ip-adapter-avg", of: await send { $0.methods = ["gan"] })
            try expect(422, "'best'", "ddim", of: await send { $0.scheduler = "best" })
            let loras = gateway.models.appending(path: "loras")
            try FileManager.default.createDirectory(at: loras, withIntermediateDirectories: true)
            try expect(422, "no LoRA 'bend'", "empty", of: await send { $0.loras = [LoRAUse(name: "bend")] })
            for name in ["soft.safetensors", "old.pt", "notes.txt"] {
                try Data().write(to: loras.appending(path: name))
            }
            try expect(
                422, "no LoRA 'bend'", "there are: old, soft",
                of: await send { $0.loras = [LoRAUse(name: "soft"), LoRAUse(name: "bend")] })
            try expect(404, "'Eve'", "person add", of: await send { $0.person = "Eve" })
            try expect(404, "Ada", of: await send { $0.person = "Ada\0x" })
            try expect(409, "Bob has no photos", of: await send { $0.person = "Bob" })
            try expect(422, "1000 pictures", "split", of: await send { $0.pictures = 1_001 })
            let missing = "ab/ab" + String(repeating: "0", count: 62) + ".png"
            try expect(422, "init_image", missing, "POST", of: await send { $0.initImage = missing })
            let picture = try await gateway.send("POST", "/v1/objects", Pictures.png(9))
            #expect(picture.status == 201)
            let key = try picture.decode(ObjectView.self).objectKey
            try expect(422, "width of 24 pixels", "64 to 1024", of: await send { $0.initImage = key })
            try expect(422, "mask_image", missing, of: await send { ($0.initImage, $0.maskImage) = (key, missing) })
            try expect(415, "PNG", of: await gateway.send("POST", "/v1/objects", Data("text".utf8)))
            try expect(422, "several people", "each", of: await send { $0.person = "Ada and Bob" })
            try expect(422, "several people", "each", of: await send { $0.person = "Ada, Bob" })
            try expect(404, "Ada and Eve", of: await send { $0.person = "Ada and Eve" })
            let two = #"{"person": ["Ada", "Bob"], "methods": ["all"], "prompts": ["a photo"]}"#
            try expect(422, "several people (Ada, Bob)", of: await gateway.send("POST", "/v1/jobs", Data(two.utf8)))
            let long201 = String(repeating: "k", count: 201)
            let request = GenerateRequest(person: "Ada", methods: ["ip-adapter"], prompts: ["a photo"])
            try expect(
                400, "Idempotency-Key",
                of: await gateway.post("/v1/jobs", request, headers: ["Idempotency-Key": long201]))
            func raw(_ text: String) async throws -> RunningGateway.Answer {
                try await gateway.send("POST", "/v1/jobs", Data(text.utf8))
            }
            try expect(400, "JSON", of: await raw("{\"person\": \"Ada\",\n\"methods\": [}"))
            try expect(400, "'prompts' is missing", of: await raw(#"{"person": "Ada", "methods": ["all"]}"#))
            try expect(400, of: await raw(""))
            try expect(400, of: await raw(String(repeating: "[", count: 100_000)))
            try expect(413, "the job", of: await raw(String(repeating: " ", count: 1_000_001)))

            #expect(try await gateway.count("tasks") == tasks)
            #expect(try await gateway.get("/v1/jobs", as: [JobView].self).isEmpty)
            let plain = try await send { _ in }
            #expect(plain.status == 202, "\(plain.text)")
            #expect(try await send { $0.loras = [LoRAUse(name: "soft", weight: 0.5)] }.status == 202)
            // A gateway that cannot see the models folder leaves it to the stages.
            try FileManager.default.removeItem(at: gateway.models)
            #expect(try await send { $0.loras = [LoRAUse(name: "bend")] }.status == 202)
            let changed = try await send { ($0.initImage, $0.width, $0.height) = (key, 64, 72) }
            #expect(changed.status == 202)
            #expect(try changed.decode(JobView.self).request.initImage == key)
        }
    }

    @Test func addresses() async throws {
        try await withGateway(.shared) { gateway in
            func get(_ path: String) async throws -> RunningGateway.Answer { try await gateway.send("GET", path) }
            try expect(404, "/v2/people", of: await get("/v2/people"))
            try expect(400, "'7'", "UUID", of: await get("/v1/jobs/7"))
            try expect(404, "no job", of: await get("/v1/jobs/\(UUID())"))
            try expect(404, "no job", of: await get("/v1/jobs/\(UUID())/results"))
            try expect(404, "no job", of: await gateway.send("POST", "/v1/jobs/\(UUID())/cancel"))
            try expect(422, "limit is 'many'", of: await get("/v1/jobs?limit=many"))
            try expect(404, "Eve", of: await get("/v1/people/Eve"))
            try expect(404, of: await gateway.send("DELETE", "/v1/people/Eve"))
            try expect(400, "percent", of: await get("/v1/people/%FF"))
            try expect(400, "percent", of: await get("/v1/people/a%00b"))
            try expect(400, "key", of: await get("/v1/objects/..%2f..%2fetc/passwd"))
            let missing = "ab/ab" + String(repeating: "0", count: 62) + ".png"
            try expect(404, missing, of: await get("/v1/objects/\(missing)"))

            let wrong = try await gateway.send("DELETE", "/v1/jobs")
            try expect(405, "/v1/jobs", "GET", "POST", of: wrong)
            #expect(wrong.headers["allow"] == "GET, POST")
            try expect(405, of: await gateway.send("PUT", "/v1/people/Ada"))
            for name in ["", "a/b", String(repeating: "n", count: 101)] {
                try expect(422, "name", of: await gateway.post("/v1/people", NewPerson(name: name)))
            }
            #expect(try await gateway.count("people") == 0)
        }
    }
}
