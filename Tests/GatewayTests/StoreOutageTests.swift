import Contracts
import Foundation
import TestSupport
import Testing

/// What clients are told while Postgres or RabbitMQ is away. It has servers of its own, so that no other test notices.
@Suite(.serialized) struct StoreOutageTests {
    @Test func answersComeBackWithTheServers() async throws {
        try await PrivateServers(portBase: 31_000).withServers { servers in
            try await withGateway(Servers(servers)) { gateway in
                _ = try await gateway.post("/v1/people", NewPerson(name: "Ada"))

                try await servers.stop(.postgres)
                let away = try await gateway.send("GET", "/v1/people")
                #expect(away.status == 503)
                #expect(away.headers["retry-after"] == "5")
                #expect(try away.decode(ErrorView.self).error.contains("database"))
                let unready = try await gateway.send("GET", "/readyz")
                #expect(unready.status == 503)
                #expect(unready.text.contains("rabbitmq ok"))
                #expect(try await gateway.send("GET", "/healthz").status == 200)
                try await servers.start(.postgres)
                try await eventually("people are listed again") {
                    try await gateway.send("GET", "/v1/people").status == 200
                }

                // A photo is taken without the broker: its task's message waits in the outbox.
                try await servers.stop(.rabbitmq)
                try await eventually("not ready") { try await gateway.send("GET", "/readyz").status == 503 }
                #expect(try await gateway.send("POST", "/v1/people/Ada/photos", Pictures.png(1)).status == 201)
                let blind = try await gateway.get("/v1/status", as: StatusView.self)
                #expect(blind.queues.allSatisfy { $0.depth == nil && $0.published == nil })
                try await servers.start(.rabbitmq)
                try await eventually("the message arrives") {
                    let status = try await gateway.get("/v1/status", as: StatusView.self)
                    return status.queues.first { $0.stage == .encode }?.depth == 1
                }
            }
        }
    }
}
