import Contracts
import Foundation
import Store
import TestSupport
import Testing

/// The API as a client sees it, on the real RabbitMQ and Postgres.
@Suite struct HTTPTests {
    @Test func peopleAndPhotos() async throws {
        try await withGateway(.shared) { gateway in
            // "50%" would become something else if it were decoded twice.
            let name = "Ada 50% Łovelace"
            let path = "/v1/people/Ada%2050%25%20%C5%81ovelace"
            let added = try await gateway.post("/v1/people", NewPerson(name: name))
            #expect(added.status == 201)
            let person = try added.decode(PersonView.self)
            #expect(person.name == name)
            #expect(try await gateway.post("/v1/people", NewPerson(name: name)).status == 409)

            let png = try Pictures.png(1)
            let headers = ["X-Filename": "caf%C3%A9.png", "X-Caption": "a%20smile"]
            let first = try await gateway.send("POST", path + "/photos", png, headers: headers)
            #expect(first.status == 201)
            let photo = try first.decode(PhotoView.self)
            #expect((photo.filename, photo.caption) == ("café.png", "a smile"))
            #expect((photo.width, photo.height, photo.position) == (24, 16, 0))

            let again = try await gateway.send("POST", path + "/photos", png)
            #expect(again.status == 200)
            #expect(try again.decode(PhotoView.self).id == photo.id)
            let second = try await gateway.send("POST", "/v1/people/\(person.id)/photos", Pictures.png(2))
            #expect(try second.decode(PhotoView.self).position == 1)

            #expect(try await gateway.get(path + "/photos", as: [PhotoView].self).map(\.position) == [0, 1])
            #expect(try await gateway.get(path, as: PersonView.self).id == person.id)
            #expect(try await gateway.get("/v1/people", as: [PersonView].self).map(\.name) == [name])

            let object = try await gateway.send("GET", "/v1/objects/" + photo.objectKey)
            #expect(object.status == 200)
            #expect(object.body == png)
            #expect(object.headers["content-type"] == "image/png")
            #expect(object.headers["cache-control"]?.contains("immutable") == true)

            #expect(try await gateway.send("DELETE", path).status == 204)
            #expect(try await gateway.send("GET", path).status == 404)
            #expect(try await gateway.count("photos") == 0)
        }
    }

    @Test func faceEmbeddingsComeWithPhotos() async throws {
        try await withGateway(.shared) { gateway in
            _ = try await gateway.post("/v1/people", NewPerson(name: "Ada"))
            func send(_ face: String?, _ number: Int = 1) async throws -> RunningGateway.Answer {
                let headers = ["X-Filename": "ada.png", "X-Face-Embedding": face].compactMapValues { $0 }
                return try await gateway.send("POST", "/v1/people/Ada/photos", Pictures.png(number), headers: headers)
            }
            func kept() async throws -> [FaceEmbedding?] {
                let person = try await gateway.get("/v1/people/Ada", as: PersonView.self)
                return try await gateway.database.photos(of: person.id).map(\.faceEmbedding)
            }
            let (one, two) = (try embedding(512, at: 3), try embedding(512, at: 4))
            #expect(try await !send(nil).decode(PhotoView.self).hasFaceEmbedding)
            // Given later with the same photo, it is added; without one it stays; another one takes its place.
            let later = try await send(one.base64)
            #expect(try later.status == 200 && later.decode(PhotoView.self).hasFaceEmbedding)
            #expect(try await send(nil).status == 200)
            #expect(try await kept() == [one])
            #expect(try await send(two.base64).status == 200)
            #expect(try await kept() == [two])
            #expect(try await send(one.base64, 2).status == 201)
            #expect(try await kept() == [two, one])
            for (bad, words) in [
                ("AAAA*", "base64"), ("AAAA", "32-bit"), (Data(count: 2048).base64EncodedString(), "length 0"),
            ] {
                let answer = try await send(bad, 3)
                #expect(
                    answer.status == 422 && answer.text.contains("ada.png") && answer.text.contains(words),
                    "\(answer.text)")
            }
            #expect(try await gateway.count("photos") == 2)
        }
    }

    private func embedding(_ count: Int, at place: Int) throws -> FaceEmbedding {
        try FaceEmbedding((0..<count).map { $0 == place ? 1 : 0 })
    }

    @Test func jobs() async throws {
        try await withGateway(.shared) { gateway in
            _ = try await gateway.post("/v1/people", NewPerson(name: "Ada"))
            for number in 0..<3 {
                #expect(try await gateway.send("POST", "/v1/people/Ada/photos", Pictures.png(number)).status == 201)
            }
            var request = GenerateRequest(person: "Ada", methods: ["all"], prompts: ["a photo", "a drawing"])
            (request.pictures, request.references) = (2, 2)
            let key = ["Idempotency-Key": "first"]
            let accepted = try await gateway.post("/v1/jobs", request, headers: key)
            #expect(accepted.status == 202)
            let job = try accepted.decode(JobView.self)
            #expect(job.state == .queued)
            #expect(job.request == request)
            #expect(job.notices.isEmpty)
            let totals = Dictionary(uniqueKeysWithValues: job.stages.map { ($0.stage, $0.total) })
            #expect(totals == [.encode: 2 + 5, .aggregate: 4, .train: 1, .denoise: 20, .evaluate: 1])

            let repeated = try await gateway.post("/v1/jobs", request, headers: key)
            #expect(repeated.status == 200)
            #expect(try repeated.decode(JobView.self).id == job.id)
            request.pictures = 1
            let other = try await gateway.post("/v1/jobs", request, headers: key)
            #expect(other.status == 409)
            #expect(try other.decode(ErrorView.self).error.contains("first"))
            #expect(try await gateway.get("/v1/jobs", as: [JobView].self).map(\.id) == [job.id])

            // Three photos were encoded ahead of time, and this job's seven encode tasks can start: all reach the broker.
            try await eventually("ten messages in the encoder's queue, by AMQP and by the management API") {
                let status = try await gateway.get("/v1/status", as: StatusView.self)
                let encode = status.queues.first { $0.stage == .encode }
                return encode?.depth == 10 && encode?.published == 10 && encode?.consumers == 0
            }
            let status = try await gateway.get("/v1/status", as: StatusView.self)
            #expect(status.queues.count == Stage.allCases.count + 1)
            #expect(status.queues.allSatisfy { $0.name.hasPrefix(gateway.prefix) })
            #expect(status.queues.first { $0.stage == .encode }?.oldestSeconds != nil)
            #expect(status.workers.map(\.service) == ["gateway"])

            let results = try await gateway.get("/v1/jobs/\(job.id)/results", as: JobResults.self)
            #expect(results.pictures.isEmpty && results.contactSheet == nil)
            #expect(try await gateway.get("/v1/jobs/\(job.id)/training", as: [TrainingView].self).isEmpty)
            #expect(try await gateway.send("GET", "/v1/jobs/\(UUID())/training").status == 404)

            let cancelled = try await gateway.send("POST", "/v1/jobs/\(job.id)/cancel")
            #expect(cancelled.status == 200)
            #expect(try cancelled.decode(JobView.self).state == .cancelled)
            #expect(try await gateway.get("/v1/jobs/\(job.id)", as: JobView.self).state == .cancelled)
        }
    }

    @Test func healthAndMetrics() async throws {
        try await withGateway(.shared) { gateway in
            #expect(try await gateway.send("GET", "/healthz").status == 200)
            let ready = try await gateway.send("GET", "/readyz")
            #expect(ready.text == "postgres ok\nrabbitmq ok\n")
            _ = try await gateway.send("GET", "/v1/people")
            let metrics = try await gateway.send("GET", "/metrics")
            #expect(metrics.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
            #expect(metrics.text.contains("likeness_broker_connected 1"))
            #expect(metrics.text.contains("/v1/people"))
        }
    }
}
