import Contracts
import Foundation
import Store
import Testing

struct TrainingRunTests {
    @Test func partsWaitForEachOtherAndBelongToNobody() async throws {
        try await withDatabase { database in
            var request = TrainingRequest(run: "first")
            request.steps = ["vae": 2, "ip-adapter": 3]
            let job = try await database.accept(request, stages: [.vae, .clip], idempotencyKey: "k")
            #expect(try await database.accept(request, stages: [.vae, .clip], idempotencyKey: "k") == job)

            let view = try #require(try await database.job(job))
            #expect(view.person == "first")
            #expect(view.training == request)
            #expect(view.stages.map(\.total) == [2])
            #expect(view.stages.map(\.queued) == [1])
            #expect(view.stages.map(\.waiting) == [1])
            #expect(try await database.jobs().map(\.id) == [job])
            for key: String? in [nil, "other"] {
                let taken = await #expect(throws: TrainingRunUnderWay.self) {
                    try await database.accept(request, stages: [.vae], idempotencyKey: key)
                }
                #expect(taken?.job == job)
            }
            _ = try await database.accept(TrainingRequest(run: "second"), stages: [.vae], idempotencyKey: nil)

            _ = try await database.cancel(job)
            #expect(try await database.accept(request, stages: [.vae], idempotencyKey: nil) != job)
            // The first one's key is still the first one's, though another has the name now.
            #expect(try await database.accept(request, stages: [.vae], idempotencyKey: "k") == job)
        }
    }

    @Test func ofTwoAtTheSameMomentOneIsAccepted() async throws {
        try await withDatabase { database in
            let accepted = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let request = TrainingRequest(run: "first")
                        return (try? await database.accept(request, stages: [.vae], idempotencyKey: nil)) != nil
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(accepted == 1)
            let jobs = try await database.jobs()
            #expect(jobs.count == 1)
        }
    }
}
