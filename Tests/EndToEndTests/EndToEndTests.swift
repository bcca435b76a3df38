import Foundation
import FoundationNetworking
import TestSupport
import Testing

/// What users rely on, with every stage a process of its own over RabbitMQ and Postgres.
@Suite(.serialized) struct EndToEndTests {
    @Test func photosGoInPicturesAndScoresComeOut() async throws {
        try await Stack.run(portBase: 20000) { stack in
            let job = try await stack.queue("--method", "all", "--pictures", "2", "--steps", "4")
            let results = try await stack.results(job)
            #expect(results.files.count == 10)
            #expect(Set(results.files.values).count == 10)
            let sheet = try Data(contentsOf: results.folder.appending(path: "contact-sheet.png"))
            #expect(sheet.starts(with: [0x89, 0x50, 0x4E, 0x47]))
            let scores = try await stack.likeness("evaluate", job)
            #expect(scores.contains("IP-Adapter + Self-Attention"))
            #expect(scores.contains("DreamBooth"))

            let (metrics, _) = try await URLSession.shared.data(
                from: try #require(URL(string: "http://127.0.0.1:\(stack.metricsPort)/metrics")))
            let figures = String(decoding: metrics, as: UTF8.self)
            #expect(figures.contains(#"likeness_tasks_total{outcome="done",stage="denoise"} 10"#), "\(figures)")
            #expect(figures.contains(#"likeness_tasks_running{stage="denoise"} 0"#), "\(figures)")
            #expect(figures.contains(#"likeness_deliveries_total{queue="likeness.denoise"} 10"#), "\(figures)")

            // The person's own weights were trained under everyone's eyes, and are not trained again.
            #expect(try await stack.likeness("jobs", "training", job).contains("200/200"))
            let again = try await stack.queue("--method", "dreambooth", "--steps", "4", "--seed", "9")
            #expect(try await stack.results(again).files.count == 1)
            #expect(try await stack.likeness("jobs", "training", again).contains("no training"))

            // The miniature family is trained by the same queue.
            let run = try await stack.likeness(
                "train", "submit", "--name", "tiny", "--until", "clip", "--steps", "vae=2", "--steps", "clip=2",
                "--pretraining-people", "6", "--rendered-people", "6", "--watch")
            let id = try #require(run.firstMatch(of: /job ([0-9a-f-]{36}): 2 parts/)).output.1
            let log = try await stack.likeness("jobs", "training", String(id))
            #expect(log.contains("vae") && log.contains("clip") && log.contains("2/2"), "\(log)\n\(run)")

            // The same request under the same key is the same job.
            let key = ["--method", "ip-adapter", "--steps", "2", "--idempotency-key", "once"]
            let first = try await stack.likeness(["generate", "--person", "Ann Lee", "--prompt", "a person"] + key)
            let second = try await stack.likeness(["generate", "--person", "Ann Lee", "--prompt", "a person"] + key)
            #expect(first == second)
            try await refusals(stack)
        }
    }

    /// Bad input is refused in words that name it and the remedy; nothing is queued and the gateway stays up.
    private func refusals(_ stack: Stack) async throws {
        func jobs() async throws -> [String] {
            try await stack.likeness("jobs", "list")
                .matches(of: /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.ignoresCase()).map { String($0.output.0) }
        }
        let before = try await jobs()
        #expect(before.count == 4)
        func file(_ name: String, _ data: Data) throws -> String {
            let url = stack.folder.appending(path: name)
            try data.write(to: url)
            return url.path
        }
        let photo = try FileManager.default.contentsOfDirectory(atPath: stack.photos().path).sorted()[0]
        let good = try Data(contentsOf: stack.photos().appending(path: photo))
        let bad = [
            try file("text.png", Data("this is no picture".utf8)), try file("empty.png", Data()),
            try file("cut.png", good.prefix(good.count / 2)), try file("bomb.png", bomb()),
        ]
        for path in bad {
            let words = try await stack.refusal("person", "add", "Ann Lee", path)
            #expect(words.contains(URL(fileURLWithPath: path).lastPathComponent), "\(words)")
        }
        #expect(try await stack.refusal("person", "add", "Ann Lee", bad[3]).contains("20000"))
        let request = ["generate", "--person", "Ann Lee", "--method", "ip-adapter"]
        func refused(_ arguments: [String]) async throws -> String {
            do {
                let said = try await stack.likeness(arguments)
                throw Stack.Accepted(description: "accepted: \(said)")
            } catch let failure as TestFailure {
                return failure.description
            }
        }
        let long = String(repeating: "word ", count: 2000)
        #expect(try await refused(request + ["--prompt", long]).contains("1000"))
        #expect(try await refused(request + ["--prompt", "x", "--steps", "0"]).contains("steps"))
        #expect(
            try await stack.refusal("generate", "--person", "Ann Lee", "--prompt", "x", "--method", "magic").contains(
                "magic"))
        #expect(try await stack.refusal("generate", "--person", "Nobody", "--prompt", "x").contains("Nobody"))
        #expect(try await jobs() == before)
        try await stack.likeness("status")
    }

    /// A PNG header that promises 20,000 × 20,000 pixels, with a right checksum and next to nothing behind it.
    private func bomb() -> Data {
        var data = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
        let header = Data("IHDR".utf8) + Data([0, 0, 0x4E, 0x20, 0, 0, 0x4E, 0x20, 8, 2, 0, 0, 0])
        data += Data([0, 0, 0, 13]) + header
        withUnsafeBytes(of: crc(header).bigEndian) { data.append(contentsOf: $0) }
        data += Data([0, 0, 0, 0]) + Data("IDAT".utf8) + Data([0x35, 0xAF, 0x06, 0x1E])
        return data + Data([0, 0, 0, 0]) + Data("IEND".utf8) + Data([0xAE, 0x42, 0x60, 0x82])
    }

    private func crc(_ data: Data) -> UInt32 {
        var crc = UInt32.max
        for byte in data {
            crc ^= UInt32(byte)
            for _ in 0..<8 {
                let shifted = crc >> 1
                crc = crc & 1 == 1 ? shifted ^ 0xEDB8_8320 : shifted
            }
        }
        return ~crc
    }

    @Test func twoDenoisersShareABatchAndMakeTheSameBytes() async throws {
        try await Stack.run(portBase: 21000) { stack in
            let batch = [
                "--method", "ip-adapter-avg", "--pictures", "20", "--steps", "10", "--seed", "3", "--no-evaluation",
            ]
            func run() async throws -> Stack.Results {
                let said = try await stack.likeness(
                    ["generate", "--person", "Ann Lee", "--prompt", "a photo of a person"] + batch)
                let id = try #require(said.firstMatch(of: /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.ignoresCase()))
                return try await stack.results(String(id.output.0))
            }
            let one = try await run()
            try stack.start("denoiser", as: "denoiser 2")
            try await eventually("two denoisers consume") {
                try await stack.likeness("status").matches(of: /denoiser-/).count >= 2
            }
            let two = try await run()
            #expect(one.files.count == 20)
            #expect(one.workers.count == 1)
            #expect(two.workers.count == 2)
            #expect(two.files == one.files)
        }
    }

    @Test func outagesAndACrashLoseAndDoubleNothing() async throws {
        try await Stack.run(portBase: 22000) { stack in
            let options = ["--method", "ip-adapter,ip-adapter-max", "--pictures", "30", "--steps", "30"]
            let said = try await stack.likeness(
                ["generate", "--person", "Ann Lee", "--prompt", "a photo of a person"] + options)
            let id = try #require(said.firstMatch(of: /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.ignoresCase()))
            let job = String(id.output.0)
            try await stack.servers.stop(.postgres)
            try await Task.sleep(for: .seconds(10))
            try await stack.servers.start(.postgres)
            try await stack.servers.stop(.rabbitmq)
            try await Task.sleep(for: .seconds(10))
            try await stack.servers.start(.rabbitmq)
            // A denoiser dies in the middle of a picture; its lease runs out and another one makes the picture.
            stack.kill("denoiser")
            try stack.start("denoiser")
            try await eventually("the gateway is back", within: .seconds(120)) {
                (try? await stack.likeness("status")) != nil
            }
            let results = try await stack.results(job)
            #expect(results.files.count == 60)
            #expect(Set(results.files.values).count == 60)
        }
    }
}
