import Testing

@testable import AMQP

@Suite("RPC call table")
struct RPCCallTableTests {
    private let start = ContinuousClock.now
    private let lost = AMQPError(.connectionLost, "the cable was cut")

    private func table(limit: Int = 10) -> RPCCallTable {
        RPCCallTable(prefix: "client-", limit: limit)
    }

    @Test("Matches replies in any order by their correlation id")
    func outOfOrder() throws {
        var table = table()
        for call in 1...3 as ClosedRange<UInt64> {
            let begun = try table.begin(deadline: start)
            #expect(begun == (call, true))
        }
        #expect(table.correlationID(of: 2) == "client-2")
        #expect(table.replied("client-2") == .answers(2))
        #expect(table.replied("client-3") == .answers(3))
        #expect(table.replied("client-1") == .answers(1))
        #expect(table.outstandingCount == 0)
    }

    @Test("A reply to a call that has ended is late", arguments: ["answered", "timed out", "abandoned"])
    func late(_ end: String) throws {
        var table = table()
        let call = try table.begin(deadline: start).call
        switch end {
        case "answered": #expect(table.replied("client-1") == .answers(call))
        case "timed out": #expect(table.tick(now: start) == [.init(call: call, wasSent: true)])
        default: table.abandoned(call)
        }
        #expect(table.replied("client-1") == .late)
        #expect(table.lateReplies == 1)
        #expect(table.unknownReplies == 0)
    }

    @Test(
        "A reply to no call of this client is unknown, and ends nothing",
        arguments: [nil, "", "client-", "client-0", "client-2", "client-+1", "client-01", "other-1", "1"]
    )
    func unknown(_ correlationID: String?) throws {
        var table = table()
        let call = try table.begin(deadline: start).call
        #expect(table.replied(correlationID) == .unknown)
        #expect(table.unknownReplies == 1)
        #expect(table.replied("client-1") == .answers(call))
    }

    @Test("Past the limit calls wait, and are sent in the order of beginning")
    func limit() throws {
        var table = table(limit: 2)
        var room: [Bool] = []
        for _ in 0..<5 { room.append(try table.begin(deadline: start).maySend) }
        #expect(room == [true, true, false, false, false])
        #expect(table.nextToSend() == nil)
        #expect(table.replied("client-2") == .answers(2))
        #expect(table.nextToSend() == 3)
        #expect(table.nextToSend() == nil)
        table.abandoned(4)
        table.abandoned(1)
        #expect(table.nextToSend() == 5)
        #expect(table.waitingCount == 0)
        #expect(table.outstandingCount == 2)
    }

    @Test("A newcomer does not overtake those who wait, even if there is room by now")
    func noOvertaking() throws {
        var table = table(limit: 1)
        _ = try table.begin(deadline: start)
        _ = try table.begin(deadline: start)
        #expect(table.replied("client-1") == .answers(1))
        let newcomer = try table.begin(deadline: start)
        #expect(newcomer == (3, false))
        #expect(table.nextToSend() == 2)
    }

    @Test("Ends each call at its deadline, and tells which had been sent")
    func deadlines() throws {
        var table = table(limit: 2)
        for seconds in [3, 1, 2, 9] { _ = try table.begin(deadline: start + .seconds(seconds)) }
        #expect(table.nextDeadline == start + .seconds(1))
        #expect(table.tick(now: start) == [])
        let ended = table.tick(now: start + .seconds(2))
        #expect(ended == [.init(call: 2, wasSent: true), .init(call: 3, wasSent: false)])
        #expect(table.nextDeadline == start + .seconds(3))
        #expect(table.nextToSend() == 4)
        #expect(table.tick(now: start + .seconds(9)).map(\.call) == [1, 4])
        #expect(table.nextDeadline == nil)
    }

    @Test("Closing ends all calls and refuses further ones, for the first reason given")
    func closing() throws {
        var table = table(limit: 1)
        for _ in 0..<2 { _ = try table.begin(deadline: start) }
        #expect(table.close(lost) == [.init(call: 1, wasSent: true), .init(call: 2, wasSent: false)])
        #expect(table.close(AMQPError(.closed, "later")) == [])
        #expect(throws: lost) { try table.begin(deadline: start) }
        #expect(table.replied("client-1") == .late)
        #expect(table.nextToSend() == nil)
    }
}

@Suite("RPC failure")
struct RPCFailureTests {
    private struct Secret: Error, CustomStringConvertible {
        var description: String { "the password is x" }
    }

    @Test("Travels in a header and back")
    func roundTrip() {
        let failure = RPCFailure(kind: "NoSuchFruit", message: "we sell apples")
        #expect(RPCFailure([RPCFailure.header: .table(failure.table)]) == failure)
        #expect(RPCFailure(thrown: failure) == failure)
    }

    @Test("Tells of another error only its type")
    func foreign() {
        let failure = RPCFailure(thrown: Secret())
        #expect(failure.kind == "Secret")
        #expect(!failure.message.contains("password"))
    }

    @Test("A header of another form still is a failure")
    func malformed() {
        #expect(RPCFailure([RPCFailure.header: "oops"])?.kind == "Unreadable")
        #expect(RPCFailure([:]) == nil)
        #expect(RPCFailure(nil) == nil)
    }
}
