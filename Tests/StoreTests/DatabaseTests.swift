import Contracts
import Foundation
import Store
import Testing

@Suite struct DatabaseTests {
    @Test func migrationsRunOnceWhoeverComesFirst() async throws {
        try await withDatabase { database in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await database.migrate() } }
                try await group.waitForAll()
            }
            let rows = try await database.transaction {
                try await $0.query("SELECT count(*) AS n, max(version) AS newest FROM schema_migrations")
            }
            let (count, newest) = (try rows[0].get("n", as: Int.self), try rows[0].get("newest", as: Int.self))
            #expect(count == newest && newest >= 2)
        }
    }

    @Test func anEditedMigrationIsRefused() async throws {
        try await withDatabase { database in
            _ = try await database.transaction { try await $0.query("UPDATE schema_migrations SET checksum = 'other'") }
            let error = await #expect(throws: StoreError.self) { try await database.migrate() }
            #expect(error?.description.contains("was edited") == true)
        }
    }

    @Test func aConnectionThatIsCutInATransactionIsReplacedAndTheWorkDoneOnce() async throws {
        try await withDatabase { database in
            let attempts = Counter()
            let prompt = try await database.transaction { transaction in
                let attempt = await attempts.next()
                try await transaction.query(
                    "INSERT INTO prompts (id, content_hash, text) VALUES ($1, $2, 'x')", UUID(), "hash \(attempt)")
                if attempt == 1 { try await transaction.query("SELECT pg_terminate_backend(pg_backend_pid())") }
                return try await transaction.query("SELECT content_hash FROM prompts")
            }
            #expect(try prompt.map { try $0.get("content_hash", as: String.self) } == ["hash 2"])
        }
    }

    @Test func aSlowStatementEndsWithItsTimeout() async throws {
        try await withDatabase { _ in
            let database = Database(
                url: try serverURL(), connections: 1, statementTimeout: .milliseconds(100), logger: quiet)
            let error = await #expect(throws: StoreError.self) {
                _ = try await database.transaction { try await $0.query("SELECT pg_sleep(30)") }
            }
            guard case .server(let state, _) = error else {
                Issue.record("wrong error: \(String(describing: error))")
                return
            }
            #expect(state == "57014")
            await database.close()
        }
    }

    @Test(arguments: ["quote ' and \" and \\", "emoji 😀 ½ İ", String(repeating: "x", count: 10_000), "{a,b}", ""])
    func textComesBackAsItWas(text: String) async throws {
        try await withDatabase { database in
            let prompt = try await database.upsertPrompt(text)
            #expect(try await database.prompt(prompt.id)?.text == text)
            #expect(try await database.upsertPrompt(text).id == prompt.id)
            let job = try await database.acceptJob(pictures: 1)
            try await database.addNotice(text, to: job.id)
            try await database.addNotice(text, to: job.id)
            #expect(try await database.job(job.id)?.notices == [text])
        }
    }

    @Test func aNULCharacterIsRefusedInWords() async throws {
        try await withDatabase { database in
            let error = await #expect(throws: StoreError.self) { _ = try await database.upsertPrompt("a\0b") }
            #expect(error?.description.contains("NUL") == true)
        }
    }

    @Test func aServerThatIsNotThereIsAnErrorOnceThePatienceIsUsedUp() async throws {
        let database = Database(
            url: "postgresql://nobody@127.0.0.1:1/none", connections: 1, patience: .milliseconds(300), logger: quiet)
        let error = await #expect(throws: StoreError.self) { _ = try await database.people() }
        #expect(error?.isRetryable == true)
    }

    @Test func theListenerHearsOfNewMessages() async throws {
        try await withDatabase { database in
            // Sent again and again, because the first may come before the listener is there.
            let ticks = database.listen(channel: Database.outboxChannel)
            var iterator = ticks.makeAsyncIterator()
            await iterator.next()
            _ = try await database.acceptJob(pictures: 1)
            await iterator.next()
            #expect(try await database.drainOutbox().count == 1)
        }
    }

    @Test func peopleAndPhotos() async throws {
        try await withDatabase { database in
            let person = try await database.createPerson(name: "Ann Lee")
            await #expect(throws: StoreError.self) { _ = try await database.createPerson(name: "Ann Lee") }
            let photo = NewPhoto(
                filename: "a.png", contentHash: "h", objectKey: "k", mediaType: "image/png", width: 64, height: 64,
                caption: nil)
            let first = try await database.addPhoto(photo, to: person.id)
            let again = try await database.addPhoto(photo, to: person.id)
            #expect(first.isNew && !again.isNew)
            #expect(first.photo.id == again.photo.id)
            // The new photo is embedded ahead of time, once.
            #expect(try await database.drainOutbox().count == 1)
            #expect(try await database.person("Ann Lee")?.id == person.id)
            #expect(try await database.person(person.id.uuidString)?.name == "Ann Lee")
            #expect(try await database.person("nobody") == nil)
            #expect(try await database.deletePerson(person.id))
            #expect(try await database.photos(of: person.id).isEmpty)
        }
    }

    @Test func photosAddedAtOnceGetPositionsWithoutGaps() async throws {
        try await withDatabase { database in
            let person = try await database.createPerson(name: "Ann Lee")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<12 {
                    group.addTask {
                        let photo = NewPhoto(
                            filename: "\(index).png", contentHash: "h\(index)", objectKey: "k", mediaType: "image/png",
                            width: 64, height: 64, caption: "c")
                        _ = try await database.addPhoto(photo, to: person.id)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await database.photos(of: person.id).map(\.position) == Array(0..<12))
        }
    }

    @Test func workersAndStages() async throws {
        try await withDatabase { database in
            try await database.heartbeat(
                worker: "w", service: "denoiser", host: "h", pid: 7, state: "working", activity: "x", tasksDone: 2)
            let workers = try await database.workers()
            #expect(workers.map(\.state) == ["working"])
            _ = try await database.acceptJob(pictures: 1)
            let encode = try #require(try await database.stageStatus().first { $0.stage == .encode })
            #expect(encode.queued == 1)
            #expect(encode.oldestQueued != nil)
        }
    }
}

actor Counter {
    private var count = 0

    func next() -> Int {
        count += 1
        return count
    }
}
