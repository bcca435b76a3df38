import Contracts
import Foundation

/// Follows a job to its end and shows how far it is.
struct JobWatch {
    let client: GatewayClient

    /// Asks every half second; the gateway being away for a while does not end it.
    func untilEnd(of id: UUID) async throws -> JobView {
        var display = ProgressDisplay()
        var shown: Set<String> = []
        while true {
            let job: JobView = try await patiently { try await client.get(["v1", "jobs", id.uuidString]) }
            let news = job.notices.filter { shown.insert($0).inserted }
            display.show(job, notices: news)
            if job.state.isFinal {
                display.finish(job)
                return job
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// Tries again for two minutes while the gateway, or a server it needs, is away.
    func patiently<T: Sendable>(_ ask: () async throws -> T) async throws -> T {
        let deadline = ContinuousClock.now + .seconds(120)
        var hasSaidSo = false
        while true {
            do {
                return try await ask()
            } catch let error as GatewayError where error.isTemporary && ContinuousClock.now < deadline {
                if !hasSaidSo {
                    FileHandle.standardError.write(Data("\(error.inWords.error); trying again for two minutes\n".utf8))
                }
                hasSaidSo = true
                try await Task.sleep(for: .seconds(1))
            }
        }
    }
}
