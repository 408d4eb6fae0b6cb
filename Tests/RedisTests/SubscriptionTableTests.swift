import Redis
import Testing

@Suite("Subscription table") struct SubscriptionTableTests {
    func reply(_ kind: String, _ channel: String, _ count: Int = 1) -> RESPValue {
        .array([.bulk(Array(kind.utf8)), .bulk(Array(channel.utf8)), .integer(count)])
    }

    func message(_ channel: String, _ text: String) -> RESPValue {
        .array([.bulk(Array("message".utf8)), .bulk(Array(channel.utf8)), .bulk(Array(text.utf8))])
    }

    func connected() -> SubscriptionTable {
        var table = SubscriptionTable()
        #expect(table.connected() == [])
        return table
    }

    @Test("Asks once for a channel that several listen to, and gives it up with the last")
    func sharing() {
        var table = connected()
        #expect(table.join(1, "x") == .send(.subscribe("x")))
        #expect(table.join(2, "x") == .waits)
        #expect(table.received(reply("subscribe", "x")) == .confirmed([1, 2], resumed: []))
        #expect(table.join(3, "x") == .active)
        #expect(table.received(message("x", "hi")) == .message([1, 2, 3], Array("hi".utf8)))
        #expect(table.leave(1, "x") == nil)
        #expect(table.leave(3, "x") == nil)
        #expect(table.leave(2, "x") == .unsubscribe("x"))
        #expect(table.leave(2, "x") == nil)
        #expect(table.isEmpty)
        #expect(table.received(message("x", "late")) == .none)
        #expect(table.received(reply("unsubscribe", "x", 0)) == .none)
        #expect(table.outstandingCount == 0)
    }

    @Test("A channel left and joined again waits for its own confirmation")
    func rejoin() {
        var table = connected()
        #expect(table.join(1, "x") == .send(.subscribe("x")))
        #expect(table.leave(1, "x") == .unsubscribe("x"))
        #expect(table.join(2, "x") == .send(.subscribe("x")))
        #expect(table.received(reply("subscribe", "x")) == .none)
        #expect(table.received(reply("unsubscribe", "x", 0)) == .none)
        #expect(table.received(reply("subscribe", "x")) == .confirmed([2], resumed: []))
    }

    @Test("After a reconnection tells who was listening before")
    func resubscription() {
        var table = connected()
        _ = table.join(1, "x")
        _ = table.received(reply("subscribe", "x"))
        table.disconnected()
        #expect(table.join(2, "x") == .waits)
        #expect(table.connected() == [.subscribe("x")])
        #expect(table.received(reply("subscribe", "x")) == .confirmed([2], resumed: [1]))
    }

    @Test("Joining without a connection waits for one; leaving then sends nothing")
    func offline() {
        var table = SubscriptionTable()
        #expect(table.join(1, "x") == .waits)
        #expect(table.join(2, "y") == .waits)
        #expect(table.leave(2, "y") == nil)
        #expect(table.connected() == [.subscribe("x")])
    }

    @Test("A refused channel fails its listeners only")
    func refusal() {
        var table = connected()
        _ = table.join(1, "x")
        _ = table.join(2, "y")
        #expect(table.received(.error("NOPERM x")) == .refused([1], "NOPERM x"))
        #expect(table.received(reply("subscribe", "y")) == .confirmed([2], resumed: []))
    }

    @Test("PING is answered in either form")
    func ping() {
        var table = connected()
        #expect(table.ping() == .ping && table.ping() == .ping)
        #expect(table.received(.simple("PONG")) == .none)
        #expect(table.received(.array([.bulk(Array("pong".utf8)), .bulk([])])) == .none)
    }

    @Test(
        "What no server says is a violation",
        arguments: [
            RESPValue.integer(1), .null, .bulk([1]), .array([]), .array([.null]), .simple("OK"), .error("ERR"),
            .array([.bulk(Array("message".utf8))]), .array([.bulk(Array("subscribe".utf8)), .null, .null]),
        ]
    )
    func violations(_ value: RESPValue) {
        var table = connected()
        guard case .violation = table.received(value) else {
            Issue.record("accepted \(value)")
            return
        }
    }
}
