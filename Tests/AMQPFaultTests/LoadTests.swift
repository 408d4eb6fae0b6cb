import AMQP
import ProcessSupport
import TestSupport
import Testing

extension AMQPFaultTests {
    @Suite("Recovery under load", .serialized) struct Load {
        @Test(
            "What was confirmed outlives a broker that is killed under load",
            .enabled(if: ServerScript.isAvailable, "set CELERIAC_SERVERS")
        )
        func killedBroker() async throws {
            try await PrivateRabbitMQ.with { server in
                let total = 20_000 * AMQPFaultTests.scale
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
            "What a quorum confirmed outlives the death of the node that leads its queue, and of the one that leads it next",
            .enabled(if: ServerScript.isAvailable, "set CELERIAC_SERVERS")
        )
        func killedNode() async throws {
            try await PrivateRabbitMQ.withCluster { nodes in
                let total = 20_000 * AMQPFaultTests.scale
                try await LoadRun.with(nodes.map(\.uri), total: total, queue: ["x-queue-type": "quorum"]) { run in
                    try await run.verify {
                        for number in 1...2 {
                            let due = number * total / 3
                            try await eventually(within: .seconds(60), "\(due) are confirmed: \(run.ledger.summary)") {
                                run.ledger.confirmedCount >= due
                            }
                            let node = try await leader(of: run.queue, among: nodes)
                            // Declared over it, the queue is led by the node that its publisher was connected to.
                            if number == 1 { #expect(run.firstPeer.hasSuffix(":\(node.uri.port)")) }
                            try await node.kill()
                            run.ledger.fault()
                            try await node.start()
                        }
                    }
                }
            }
        }

        private func leader(of queue: String, among nodes: [PrivateRabbitMQ]) async throws -> PrivateRabbitMQ {
            let list = try await nodes[0].control("-q", "--no-table-headers", "list_queues", "name", "leader")
            let line = try #require(list.split(separator: "\n").first { $0.hasPrefix("\(queue)\t") })
            let leader = try #require(line.split(separator: "\t").last)
            return try #require(nodes.first { $0.isNode(leader) }, "\(line)")
        }

        @Test(
            "Both clients leave a node that a partition has put in the minority, and lose nothing",
            .enabled(if: ServerScript.isAvailable, "set CELERIAC_SERVERS")
        )
        func partition() async throws {
            try await PrivateRabbitMQ.withCluster { nodes in
                for node in nodes { try await node.pauseMinority() }
                let total = 3000 * AMQPFaultTests.scale
                try await LoadRun.with(nodes.map(\.uri), total: total, queue: ["x-queue-type": "quorum"]) { run in
                    try await run.verify {
                        for (number, victim) in [run.producing, run.consuming].enumerated() {
                            let due = (number + 1) * total / 3
                            try await eventually(within: .seconds(60), "\(due) are confirmed: \(run.ledger.summary)") {
                                run.ledger.confirmedCount >= due
                            }
                            let link = try await victim.connection(before: .now + .seconds(20))
                            let minority = try #require(nodes.first { link.peer.hasSuffix(":\($0.uri.port)") })
                            let majority = nodes.filter { $0.uri.port != minority.uri.port }
                            try await minority.partition(from: majority, true)
                            let end = await link.waitUntilClosed()
                            run.ledger.fault()
                            // A node that pauses says so, or just hangs up.
                            #expect([.connectionClosed, .connectionLost].contains(end.code), "\(end)")
                            // The others must go on.
                            let confirmed = run.ledger.confirmedCount
                            try await eventually(within: .seconds(60), "the majority goes on: \(run.ledger.summary)") {
                                run.ledger.confirmedCount >= confirmed + 100
                            }
                            let next = try await victim.connection(before: .now + .seconds(20)).peer
                            #expect(majority.contains { next.hasSuffix(":\($0.uri.port)") })
                            try await minority.partition(from: majority, false)
                            try await minority.awaitReturn()
                        }
                    }
                }
            }
        }
    }
}
