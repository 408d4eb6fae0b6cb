import AMQP
import FaultProxySupport
import TestSupport
import Testing

extension AMQPFaultTests.Load {
    @Test("20,000 confirmed messages are consumed in spite of faults of all kinds")
    func faults() async throws {
        try await withProxy(to: AMQPFaultTests.uri(), seed: 3) { proxy, uri in
            let total = 20_000 * AMQPFaultTests.scale
            try await LoadRun.with([uri], total: total) { run in
                try await run.verify {
                    var random = SeededGenerator(seed: 3)
                    for round in 0..<AMQPFaultTests.scale {
                        let faults = FaultPlan.all(&random)
                        for (index, fault) in faults.enumerated() {
                            let due = (round * faults.count + index) * total / (faults.count * AMQPFaultTests.scale)
                            try await eventually(
                                within: .seconds(60),
                                "\(due) are confirmed: \(run.ledger.summary)"
                            ) {
                                run.ledger.confirmedCount >= due
                            }
                            try await fault.happen(to: proxy, &random) { run.attempts }
                            run.ledger.fault()
                        }
                    }
                }
                #expect(proxy.occurrences.count >= 30 * AMQPFaultTests.scale)
            }
        }
    }
}
