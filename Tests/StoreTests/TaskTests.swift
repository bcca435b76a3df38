import Contracts
import Foundation
import Store
import Testing

@Suite struct TaskTests {
    @Test func acceptingAJobQueuesOnlyWhatCanStart() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 3)
            #expect(try await database.drainOutbox() == [job.encode])
            let view = try #require(try await database.job(job.id))
            #expect(view.state == .queued)
            #expect(view.stages.map(\.stage) == [.encode, .denoise, .evaluate])
            #expect(view.stages[1].waiting == 3)
            #expect(view.request == job.plan.request)
        }
    }

    @Test func theSameIdempotencyKeyFindsTheFirstJob() async throws {
        try await withDatabase { database in
            let first = try await database.acceptJob(pictures: 1, key: "k")
            _ = try await database.drainOutbox()
            let second = try await database.acceptJob(pictures: 1, key: "k")
            #expect(second.id == first.id)
            #expect(try await database.drainOutbox().isEmpty)
            #expect(try await database.jobs().count == 1)
        }
    }

    @Test func aClaimExcludesOthersUntilItsLeaseRunsOut() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 1)
            let first = try await database.claimed(job.encode, by: "a", lease: .milliseconds(50))
            try await Task.sleep(for: .milliseconds(100))
            let second = try await database.claimed(job.encode, by: "b")
            #expect(second.attempt == 2)
            guard case .taken = try await database.claim(task: job.encode, worker: "c", lease: .seconds(1)) else {
                Issue.record("a live lease was not respected")
                return
            }
            // The first worker comes back to life: it is fenced off.
            #expect(try await database.renew(first, lease: .seconds(60)) == false)
            #expect(try await database.complete(first) == false)
            #expect(try await database.complete(second))
            // An answer that was lost may be asked for again.
            #expect(try await database.complete(second))
        }
    }

    @Test func effectsAreWrittenOnceAndOnlyWithTheCompletion() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 1)
            let claim = try await database.claimed(job.encode)
            struct Stop: Error {}
            await #expect(throws: Stop.self) {
                _ = try await database.complete(claim) { transaction in
                    try await transaction.saveEmbedding(.text, contentHash: "h", model: "m", objectKey: "o")
                    throw Stop()
                }
            }
            #expect(try await database.embedding(.text, contentHash: "h", model: "m") == nil)
            let result = try JSONEncoder.likeness.encode(TaskResult(objectKey: "o", model: "m"))
            #expect(
                try await database.complete(claim, result: result) { transaction in
                    try await transaction.saveEmbedding(.text, contentHash: "h", model: "m", objectKey: "o")
                })
            #expect(try await database.embedding(.text, contentHash: "h", model: "m") == "o")
            #expect(try await database.taskResult(job.encode)?.objectKey == "o")
        }
    }

    @Test func dependentsAreQueuedOnceHoweverManyFinishTogether() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 24)
            _ = try await database.complete(try await database.claimed(job.encode))
            #expect(Set(try await database.drainOutbox()) == Set([job.encode] + job.denoise))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, task) in job.denoise.enumerated() {
                    group.addTask {
                        let claim = try await database.claimed(task, by: "w\(index)")
                        guard case .denoise(let picture) = claim.payload else { return }
                        let done = try await database.complete(claim) { transaction in
                            try await transaction.savePicture(
                                picture, task: task, job: job.id, objectKey: "k\(index)", width: 64, height: 64,
                                seconds: 1, model: "m", worker: claim.worker)
                        }
                        #expect(done)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await database.drainOutbox() == [job.evaluate])
            _ = try await database.complete(try await database.claimed(job.evaluate))
            #expect(try await database.job(job.id)?.state == .done)
            let results = try #require(try await database.results(job.id))
            #expect(results.pictures.map(\.index) == Array(0..<24))
            #expect(results.pictures[0].seed == .max)
        }
    }

    @Test func aFailureForGoodFailsWhatNeedsItButNotTheEvaluation() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 2)
            _ = try await database.complete(try await database.claimed(job.encode))
            let retried = try await database.fail(
                try await database.claimed(job.denoise[0]), error: "broken", retryAfter: nil)
            #expect(retried == false)
            _ = try await database.complete(try await database.claimed(job.denoise[1]))
            _ = try await database.complete(try await database.claimed(job.evaluate))
            let view = try #require(try await database.job(job.id))
            #expect(view.state == .failed)
            #expect(view.error == "broken")
        }
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 2)
            _ = try await database.fail(try await database.claimed(job.encode), error: "no model", retryAfter: nil)
            let view = try #require(try await database.job(job.id))
            #expect(view.stages[1].failed == 2)
            // Both pictures failed, so the evaluation is ready to say that there is nothing to score.
            #expect(view.stages[2].queued == 1)
        }
    }

    @Test func aRetryWaitsInTheOutboxAndAttemptsRunOut() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 1)
            _ = try await database.drainOutbox()
            for attempt in 1...5 {
                let claim = try await database.claimed(job.encode)
                let again = try await database.fail(claim, error: "busy", retryAfter: .seconds(60))
                #expect(again == (attempt < 5))
            }
            // What needs the task failed with it, and the evaluation is due; the retries are not due yet.
            #expect(try await database.drainOutbox() == [job.evaluate])
            #expect(try #require(try await database.nextOutboxDelay()) > .seconds(30))
            #expect(try await database.job(job.id)?.error == "gave up after 5 attempts: busy")
        }
    }

    @Test func aSilentWorkersTaskIsQueuedAgain() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 1)
            _ = try await database.drainOutbox()
            _ = try await database.claimed(job.encode, lease: .milliseconds(10))
            try await Task.sleep(for: .milliseconds(50))
            #expect(try await database.requeueExpired() == 1)
            #expect(try await database.requeueExpired() == 0)
            #expect(try await database.drainOutbox() == [job.encode])
        }
    }

    @Test func aTaskThatIsGivenBackIsQueuedAndHasAsManyAttemptsAsBefore() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 1)
            _ = try await database.drainOutbox()
            for attempt in 1...7 {
                let claim = try await database.claimed(job.encode)
                #expect(claim.attempt == attempt && claim.maxAttempts == 4 + attempt)
                try await database.giveBack(claim)
                #expect(try await database.drainOutbox() == [job.encode])
                // It is not held any more.
                try await database.giveBack(claim)
                #expect(try await database.complete(claim) == false)
                #expect(try await database.drainOutbox().isEmpty)
            }
        }
    }

    @Test func messagesThatTheBrokerLostAreSentAgain() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 2)
            // Not sent yet is not lost.
            #expect(try await database.stagesWaiting(longerThan: .zero).isEmpty)
            _ = try await database.drainOutbox()
            #expect(try await database.stagesWaiting(longerThan: .zero) == [.encode])
            #expect(try await database.stagesWaiting(longerThan: .seconds(60)).isEmpty)
            #expect(try await database.resendQueued(.denoise, olderThan: .zero) == 0)
            #expect(try await database.resendQueued(.encode, olderThan: .zero) == 1)
            #expect(try await database.drainOutbox() == [job.encode])
            _ = try await database.claimed(job.encode)
            #expect(try await database.stagesWaiting(longerThan: .zero).isEmpty)
        }
    }

    @Test func cancellingStopsWhatRunsAndWhatWaits() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 2)
            let claim = try await database.claimed(job.encode)
            #expect(try await database.cancel(job.id) == .cancelled)
            #expect(try await database.renew(claim, lease: .seconds(1)) == false)
            #expect(try await database.complete(claim) == false)
            #expect(try await database.job(job.id)?.state == .cancelled)
            #expect(try await database.cancel(UUID()) == nil)
        }
    }

    @Test func twoRelaysPublishEachMessageOnce() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 40)
            _ = try await database.complete(try await database.claimed(job.encode))
            let published = Drained()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2 {
                    group.addTask {
                        while try await database.relayOutbox(
                            limit: 5,
                            publish: { messages in
                                await published.add(messages)
                                return Set(messages.map(\.id))
                            }) > 0
                        {}
                    }
                }
                try await group.waitForAll()
            }
            let tasks = await published.tasks
            #expect(tasks.count == 41)
            #expect(Set(tasks).count == 41)
        }
    }

    @Test func aFailedPublishKeepsTheMessages() async throws {
        try await withDatabase { database in
            let job = try await database.acceptJob(pictures: 1)
            struct Down: Error {}
            await #expect(throws: Down.self) { _ = try await database.relayOutbox { _ in throw Down() } }
            #expect(try await database.drainOutbox() == [job.encode])
        }
    }
}
