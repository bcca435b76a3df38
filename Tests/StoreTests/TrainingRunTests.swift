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
            #expect(try await database.unfinishedTraining(run: "first") == job)
            #expect(try await database.unfinishedTraining(run: "second") == nil)

            _ = try await database.cancel(job)
            #expect(try await database.unfinishedTraining(run: "first") == nil)
        }
    }
}
