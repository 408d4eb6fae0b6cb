import AMQP
import CeleriacAMQP
import CeleriacCore
import FaultProxySupport
import TestSupport
import Testing

/// What was logged, in order.
private final class LogLines: LogSink {
    private let lines = Shared<[String]>([])

    var all: [String] { lines.value }

    func log(level: LogLevel, message: String, metadata: [(String, String)], label: String) {
        lines.change { $0.append("\(level): \(message)") }
    }
}

extension AMQPFaultTests {
    @Suite("The framework's driver") struct Driver {
        /// How the links are broken.
        enum Breakage: CaseIterable {
            /// They are cut, before, within and after each method at which a message can get lost.
            case cuts
            /// They stay, and nothing comes through any more.
            case holes

            /// Where a message can get lost: on its way in, on the way of its confirmation, on its way out, and on the
            /// way of its acknowledgement.
            private static let points: [(AMQPMethodID, Direction, ClosedRange<Int>)] = [
                (.basicPublish, .toServer, 20...60), (.basicAck, .fromServer, 1...4),
                (.basicDeliver, .fromServer, 20...60), (.basicAck, .toServer, 1...4),
            ]

            /// What is done to the links, one after the other, and where.
            func faults(_ random: inout SeededGenerator) -> [(fault: Fault, point: FaultPoint)] {
                let edges: [FaultPoint.Edge] = self == .cuts ? [.before, .within, .after] : [.before]
                // Few holes, as each takes two heartbeats to be noticed.
                let points = self == .cuts ? Self.points : Self.points.dropLast()
                return edges.flatMap { edge in
                    points.map { method, direction, range in
                        let occurrence = Int.random(in: range, using: &random)
                        let cut = Fault.cut(Bool.random(using: &random) ? .reset : .finish)
                        let point = FaultPoint.method(method, direction, edge, occurrence: occurrence)
                        return (self == .cuts ? cut : .blackhole, point)
                    }
                }
            }

            var query: String { self == .cuts ? "" : "?heartbeat=1" }
        }

        private static let prefetch = 50
        /// Publishes at once.
        private static let lanes = 50

        @Test("An outage is told once for each connection, and so is its end, however many attempts it takes")
        func log() async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                let lines = LogLines()
                try await withDriver(to: uri, TaskLogger(label: "faults", level: .info, sink: lines)) { broker in
                    let queue = uniqueQueue()
                    let consumer = try await broker.consume([queue], prefetch: 1)
                    try await broker.publish(.text("before"), to: Route(to: queue))
                    try await consumer.take().acknowledge()
                    #expect(lines.all.isEmpty)
                    let rejected = proxy.rejectedCount
                    proxy.setArrivals(.reset)
                    proxy.apply(.cut(.reset))
                    // Two connections, the one that consumes and the one that publishes.
                    try await eventually("both try again and again") { proxy.rejectedCount >= rejected + 8 }
                    proxy.heal()
                    try await broker.publish(.text("after"), to: Route(to: queue))
                    try await consumer.take().acknowledge()
                    let back = Array(repeating: "notice: connected to the broker again", count: 2)
                    try await eventually("the end is told") { lines.all.count { $0 == back[0] } == 2 }
                    #expect(
                        lines.all.sorted()
                            == back + Array(repeating: "warning: connection to the broker lost", count: 2)
                    )
                }
            }
        }

        @Test("A call whose confirmation is lost is sent again under its id, with a mark")
        func repeated() async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withDriver(to: uri) { broker in
                    let queue = uniqueQueue()
                    try await broker.publish("before", to: queue)
                    try await broker.take(from: queue.name).acknowledge()
                    proxy.arm(.cut(.reset), at: .method(.basicAck, .fromServer, .before))
                    let call = Message(headers: ["task": "t", "id": "one"], body: [])
                    try await broker.publish(call, to: Route(to: queue))
                    #expect(proxy.occurrences.count == 1)

                    let copies = [try await broker.take(from: queue.name), try await broker.take(from: queue.name)]
                    #expect(copies.map { $0.message.headers["id"]?.string } == ["one", "one"])
                    #expect(copies.map { $0.message.headers["redelivered-by-producer"]?.bool } == [nil, true])
                    #expect(copies.allSatisfy { !$0.isRedelivered })
                    for copy in copies { copy.acknowledge() }
                }
            }
        }

        @Test("A call whose confirmation does not come ends at its deadline, and may have arrived")
        func unconfirmed() async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withDriver(to: uri) { broker in
                    let queue = uniqueQueue()
                    try await broker.publish("before", to: queue)
                    proxy.apply(.stopReading, to: [.fromServer])
                    let error = await #expect(throws: CeleriacError.self) {
                        try await broker.publish(
                            .text("late"),
                            to: Route(to: queue),
                            delay: nil,
                            within: .milliseconds(300)
                        )
                    }
                    #expect(error?.code == .timedOut)
                    #expect(error?.isIndeterminate == true)
                    proxy.heal()
                    for text in ["before", "late"] {
                        let delivery = try await broker.take(from: queue.name)
                        #expect(delivery.text == text)
                        delivery.acknowledge()
                    }
                }
            }
        }

        @Test("2,000 messages outlive broken links at every point of their way", arguments: Breakage.allCases)
        func driver(_ breakage: Breakage) async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withDriver(to: uri, query: breakage.query) { try await run($0, proxy, breakage) }
            }
        }

        private func run(_ broker: AMQPBroker, _ proxy: FaultProxy, _ breakage: Breakage) async throws {
            var random = SeededGenerator(seed: 11)
            let faults = breakage.faults(&random)
            try await broker.open(within: .seconds(20))
            let queue = uniqueQueue()
            let ledger = Ledger()
            let total = 2000 * AMQPFaultTests.scale
            let consumer = try await broker.consume([queue], prefetch: Self.prefetch)
            let isPublishing = Shared(true)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await publishing(total, broker, queue, proxy, faults, ledger)
                    isPublishing.value = false
                }
                group.addTask {
                    while isPublishing.value || ledger.unconsumedCount > 0 {
                        // Of a group whose publishing has failed.
                        try Task.checkCancellation()
                        guard let delivery = try? await consumer.take(within: .seconds(1)) else { continue }
                        let isRepeated = delivery.message.headers["redelivered-by-producer"] != nil
                        ledger.delivered(delivery.text, isMarked: delivery.isRedelivered || isRepeated)
                        delivery.acknowledge()
                    }
                }
                // Other than waiting for all, this cancels the others when one fails.
                for try await _ in group {}
            }
            await consumer.stop()
            tell("driver: \(ledger.summary)")
            #expect(ledger.confirmedCount >= total)
            #expect(ledger.unconsumedCount == 0)
            #expect(ledger.strangers == [])
            #expect(ledger.unexplained == [], "\(ledger.summary)")
            let limit = ledger.duplicateLimit(prefetch: Self.prefetch, lanes: Self.lanes)
            #expect(ledger.duplicateCount <= limit, "\(ledger.summary)")
            #expect(proxy.occurrences.count == faults.count)
        }

        /// Publishes messages until all of them are confirmed, and all links were broken meanwhile.
        private func publishing(
            _ total: Int,
            _ broker: AMQPBroker,
            _ queue: QueueDeclaration,
            _ proxy: FaultProxy,
            _ faults: [(fault: Fault, point: FaultPoint)],
            _ ledger: Ledger
        ) async throws {
            let last = Shared(0)
            let hasAllFaults = Shared(false)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for (fault, point) in faults {
                        let links = proxy.linkCount
                        let arming = proxy.arm(fault, at: point)
                        try await eventually("\(point)") { !proxy.isArmed(arming) }
                        ledger.fault()
                        try await eventually("another link takes over") { proxy.linkCount > links }
                    }
                    hasAllFaults.value = true
                }
                for _ in 0..<Self.lanes {
                    group.addTask {
                        while true {
                            let message = last.change { last in
                                last += 1
                                return last
                            }
                            guard message <= total || !hasAllFaults.value else { return }
                            ledger.attempt(message)
                            try await broker.publish(.text("\(message)"), to: Route(to: queue))
                            ledger.confirmed(message)
                        }
                    }
                }
                // Other than waiting for all, this cancels the others when one fails.
                for try await _ in group {}
            }
        }
    }
}

/// Runs a closure with the framework's driver, which is closed afterwards, whatever happens.
func withDriver(
    to uri: AMQPURI,
    query: String = "",
    _ logger: TaskLogger = .silent,
    _ body: (AMQPBroker) async throws -> Void
) async throws {
    let url = ServerURL("amqp://\(uri.user):\(uri.password)@\(uri.host):\(uri.port)/%2F\(query)")
    let broker = try AMQPBroker(url, clientName: "faults", logger: logger)
    do {
        try await body(broker)
    } catch {
        await broker.close(grace: .seconds(1))
        throw error
    }
    await broker.close(grace: .seconds(1))
}
