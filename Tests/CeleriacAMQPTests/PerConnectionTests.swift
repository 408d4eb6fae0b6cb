import Testing

@testable import CeleriacAMQP

@Suite("What is known per connection") struct PerConnectionTests {
    private final class Connection {
        var isOver = false
    }

    @Test("A connection at the address of an earlier one begins anew")
    func reusedAddress() {
        var known = PerConnection<Connection, Int>(0)
        for _ in 0..<1000 {
            // Each is the only reference from outside, so that the next may well lie at the same address.
            let connection = Connection()
            #expect(known.with(connection, isOver: \.isOver) { $0 } == 0)
            known.with(connection, isOver: \.isOver) { $0 = 1 }
            #expect(known.with(connection, isOver: \.isOver) { $0 } == 1)
        }
    }

    @Test("What comes in late from a connection that is over does not displace its successor's")
    func late() {
        var known = PerConnection<Connection, Int>(0)
        let (first, second) = (Connection(), Connection())
        known.with(first, isOver: \.isOver) { $0 = 1 }
        first.isOver = true
        #expect(known.with(first, isOver: \.isOver) { $0 } == 1)
        known.with(second, isOver: \.isOver) { $0 = 2 }
        known.with(first, isOver: \.isOver) { $0 = 3 }
        #expect(known.with(first, isOver: \.isOver) { $0 } == 0)
        #expect(known.with(second, isOver: \.isOver) { $0 } == 2)
    }
}
