import AMQP
import TestSupport
import Testing

extension AMQPFaultTests {
    @Suite("Recovery under load", .serialized) struct Load {
        @Test(
            "What was confirmed outlives a broker that is killed under load",
            .enabled(if: PrivateRabbitMQ.script != nil, "set CELERIAC_SERVERS")
        )
        func killedBroker() async throws {
            try await PrivateRabbitMQ.with { server in
                let total = 5000 * AMQPFaultTests.scale
                try await LoadRun.with([server.uri], total: total) { run in
                    try await run.verify {
                        for kill in 1...(AMQPFaultTests.scale + 1) {
                            let due = kill * total / (AMQPFaultTests.scale + 2)
                            try await eventually(within: .seconds(60), "\(due) are confirmed: \(run.ledger.summary)") {
                                run.ledger.confirmedCount >= due
                            }
                            try await server.kill()
                            run.ledger.fault()
                            try await server.start()
                        }
                    }
                }
            }
        }

        @Test(
            "What a quorum confirmed outlives the death of the node that its publisher and its consumer are connected to",
            .enabled(if: PrivateRabbitMQ.script != nil, "set CELERIAC_SERVERS")
        )
        func killedNode() async throws {
            try await PrivateRabbitMQ.withCluster { nodes in
                let total = 3000 * AMQPFaultTests.scale
                try await LoadRun.with(nodes.map(\.uri), total: total, queue: ["x-queue-type": "quorum"]) { run in
                    try await run.verify {
                        for (number, victim) in [run.producing, run.consuming].enumerated() {
                            let due = (number + 1) * total / 3
                            try await eventually(within: .seconds(60), "\(due) are confirmed: \(run.ledger.summary)") {
                                run.ledger.confirmedCount >= due
                            }
                            let peer = try await victim.connection(before: .now + .seconds(20)).peer
                            let node = try #require(nodes.first { peer.hasSuffix(":\($0.uri.port)") })
                            try await node.kill()
                            run.ledger.fault()
                            try await node.start()
                        }
                    }
                }
            }
        }
    }
}
