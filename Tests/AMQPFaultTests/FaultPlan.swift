import FaultProxySupport
import TestSupport

/// One fault of a long run, and how it ends.
struct FaultPlan: Sendable {
    private enum Kind {
        /// Over with itself.
        case passing
        /// Over when the client has given the link up.
        case lasting
        /// Links are cut, and the next clients are treated so.
        case arrivals(FaultProxy.Arrivals)
        /// Links are cut, and the next server to answer is not understood.
        case handshake
    }

    private let fault: Fault
    private let directions: [Direction]
    private let kind: Kind

    private static let methods: [(AMQPMethodID, Direction, ClosedRange<Int>)] = [
        (.basicPublish, .toServer, 1...100), (.basicAck, .fromServer, 1...3),
        (.basicDeliver, .fromServer, 1...100), (.basicAck, .toServer, 1...3),
    ]

    /// Faults of all kinds, 36 of them, in random order.
    static func all(_ random: inout SeededGenerator) -> [FaultPlan] {
        var plans: [FaultPlan] = []
        func add(_ count: Int, _ fault: Fault, _ directions: [Direction] = Direction.allCases, _ kind: Kind = .passing)
        {
            plans += Array(repeating: FaultPlan(fault: fault, directions: directions, kind: kind), count: count)
        }
        add(9, .cut(.reset))
        add(9, .cut(.finish))
        for directions in [[.toServer], [.fromServer], Direction.allCases] as [[Direction]] {
            add(1, .blackhole, directions, .lasting)
            add(1, .stopReading, directions, .lasting)
            add(1, .delay(.milliseconds(20), octets: 20_000), directions)
            add(1, .dribble(octets: 5000), directions)
        }
        add(1, .cut(.reset), Direction.allCases, .arrivals(.reset))
        add(1, .cut(.reset), Direction.allCases, .arrivals(.refuse))
        add(1, .cut(.finish), Direction.allCases, .arrivals(.ignore))
        add(3, .corrupt(octets: 3, amongNext: 7), [.fromServer], .handshake)
        return plans.shuffled(using: &random)
    }

    /// Lets it happen at a random point of the conversation, and waits for its end.
    ///
    /// - Parameter attempts: How often in a row a client has tried to connect by now.
    func happen(
        to proxy: FaultProxy,
        _ random: inout SeededGenerator,
        attempts: @Sendable () -> Int
    ) async throws {
        let links = proxy.linkCount
        report("\(fault) \(directions) \(kind)")
        switch kind {
        case .passing, .lasting:
            try await strike(proxy, fault, directions, &random)
            guard case .lasting = kind else { return }
            try await eventually("a new link instead of \(fault)") { proxy.linkCount > links }
        case .arrivals(let arrivals):
            proxy.setArrivals(arrivals)
            let rejected = proxy.rejectedCount
            try await strike(proxy, fault, directions, &random)
            switch arrivals {
            case .reset: try await eventually("clients are rejected") { proxy.rejectedCount > rejected + 1 }
            // Nobody else sees a client that the kernel refuses, or keeps.
            case .refuse, .ignore, .accept: try await eventually("clients try in vain") { attempts() > 2 }
            }
            proxy.heal()
        case .handshake:
            // The frame's head: what is not a frame is noticed at once.
            let start = FaultPoint.method(.connectionStart, .fromServer, .before)
            let corruption = proxy.arm(fault, to: directions, at: start)
            proxy.apply(.cut(.reset))
            try await eventually("a handshake is corrupted") { !proxy.isArmed(corruption) }
        }
    }

    private func strike(
        _ proxy: FaultProxy,
        _ fault: Fault,
        _ directions: [Direction],
        _ random: inout SeededGenerator
    ) async throws {
        let (method, direction, range) = Self.methods[Int.random(in: 0..<Self.methods.count, using: &random)]
        let edges = [FaultPoint.Edge.before, .within, .after]
        let edge = edges[Int.random(in: 0..<edges.count, using: &random)]
        let occurrence = Int.random(in: range, using: &random)
        let point = FaultPoint.method(method, direction, edge, occurrence: occurrence)
        let arming = proxy.arm(fault, to: directions, at: point)
        try await eventually("\(fault) at \(point)") { !proxy.isArmed(arming) }
    }
}
