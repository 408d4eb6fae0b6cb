import CeleriacCore
import TestSupport
import Testing

@Suite("Limits as they are written") struct LimitTests {
    @Test(
        "Rates are read in Celery's notation",
        arguments: [
            ("10/s", Rate(10, per: .seconds(1))), ("100/m", Rate(100, per: .seconds(60))),
            ("5/h", Rate(5, per: .seconds(3600))), ("7", Rate(7, per: .seconds(1))),
            ("0.5/s", Rate(0.5, per: .seconds(1))), ("1e3/m", Rate(1000, per: .seconds(60))),
        ]
    )
    func rates(_ text: String, _ rate: Rate) throws {
        #expect(try Rate(parsing: text) == rate)
        #expect(try RateLimit(parsing: text).rate == rate)
        #expect(try Rate(parsing: "\(rate)") == rate)
    }

    @Test(
        "What is no rate is refused with a text that says what is one",
        arguments: [
            "", "/", "10/", "10/x", "10/s/s", "ten/s", "-1/s", "nan", "inf/s", " 10/s", "10 /s", "10/S", "10/d",
        ]
    )
    func noRates(_ text: String) {
        let error = #expect(throws: CeleriacError.self) { try Rate(parsing: text) }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("\"100/m\"") == true, "\(String(describing: error))")
    }

    @Test("A rate of zero is refused: it would mean no limit in Celery", arguments: ["0", "0/s", "0.0/h", "-0/m"])
    func zero(_ text: String) {
        let error = #expect(throws: CeleriacError.self) { try Rate(parsing: text) }
        #expect(error?.message.contains("leave it out") == true)
    }

    @Test("Literals are limits")
    func literals() {
        let options = TaskOptions(rateLimit: "100/m", concurrencyLimit: 3)
        #expect(options.rateLimit?.rate == Rate(100, per: .seconds(60)))
        #expect(options.concurrencyLimit?.count == 3)
        let perSecond: RateLimit = 7
        #expect(perSecond.rate == "7/s")
    }

    @Test("Without a word on it, a burst is what the rate yields in a tenth of a second, and at least one")
    func burst() {
        #expect(RateLimit("10/s").effectiveBurst == 1)
        #expect(RateLimit("1/h").effectiveBurst == 1)
        #expect(RateLimit("1000/s").effectiveBurst == 100)
        #expect(RateLimit("10/s", burst: 20).effectiveBurst == 20)
        #expect(RateLimit("10/s", burst: 0).effectiveBurst == 1)
    }

    private func arguments(_ body: String, _ parameters: [String] = []) -> CallArguments? {
        CallArguments(of: "t", body: Array(body.utf8), parameters: parameters)
    }

    @Test("Keys are told by name, by position and by keyword")
    func keys() throws {
        let call = try #require(arguments(#"[["eve", {"b": 1, "a": [2]}], {"page": 3}, {}]"#, ["customer", "filter"]))
        #expect(LimitKey.task.name(of: "t", call) == "t")
        #expect(LimitKey.shared("api").name(of: "t", nil) == "shared:api")
        #expect(LimitKey.argument("customer").name(of: "t", call) == "t:eve")
        #expect(LimitKey.argument("page").name(of: "t", call) == "t:3")
        #expect(LimitKey.argument(at: 0).name(of: "t", call) == "t:eve")
        #expect(LimitKey.argument("filter").name(of: "t", call) == #"t:{"a": [2], "b": 1}"#)
        #expect(LimitKey.argument("missing").name(of: "t", call) == "t:null")
        #expect(LimitKey.argument(at: 9).name(of: "t", call) == "t:null")
        #expect(LimitKey.by { "\($0.task)-\($0.positional.count)" }.name(of: "t", call) == "t:t-2")
        #expect(LimitKey.argument("customer").name(of: "t", nil) == "t", "one key where nothing can be read")
    }

    @Test("Long keys stay apart and become short")
    func longKeys() {
        let names = ["a", "b"].map { last in
            LimitKey.by { _ in String(repeating: "x", count: 100_000) + last }
                .name(of: "t", CallArguments(task: "t"))
        }
        #expect(names[0] != names[1])
        #expect(names.allSatisfy { $0.utf8.count < 300 })
    }

    @Test("A body that is no call has no arguments", arguments: ["", "[]", "[1, 2, 3]", "{}", "[[], []]", "nonsense"])
    func noArguments(_ body: String) {
        #expect(arguments(body) == nil)
    }

    @Test("A cost that is no number is one, and none is less than nothing")
    func costs() {
        let call = CallArguments(task: "t", positional: [3])
        func cost(_ value: Double) -> Double { LimitCost.by { _ in value }.value(call) }
        #expect(LimitCost.by { Double($0[0]?.int ?? 0) }.value(call) == 3)
        #expect([cost(.nan), cost(.infinity), cost(-5), cost(0.5)] == [1, 1, 0, 0.5])
        let literal: LimitCost = 2.5
        #expect(literal.value(nil) == 2.5)
    }
}

@Suite("Turns") struct RateMeterTests {
    private func request(_ owner: String, place: String? = nil, cost: Double = 1) -> RateRequest {
        RateRequest(key: "k", rate: "10/s", cost: cost, owner: owner, run: "r", place: place)
    }

    private func place(_ decision: RateMeter.Decision) -> (at: Double, place: String)? {
        if case .wait(let wait, let place?) = decision { (wait, place) } else { nil }
    }

    private static let start = 1.8e15

    @Test("A hundred thousand wait in a line of one number, each until a turn of its own, and each returns once")
    func longLine() throws {
        var meter = RateMeter()
        #expect(meter.take(request("first"), now: Self.start) == .granted)
        var turns: [(at: Double, place: String)] = []
        for number in 0..<100_000 {
            turns.append(try #require(place(meter.take(request("\(number)"), now: Self.start))))
        }
        for (number, turn) in turns.enumerated() {
            #expect(abs(turn.at - 1e5 * Double(number + 1)) < 2)
        }
        let late = turns.enumerated().count { number, turn in
            // In time, give or take what timers do.
            let now = Self.start + turn.at + Double(number % 7) * 5000
            return meter.take(request("\(number)", place: turn.place), now: now) != .granted
        }
        #expect(late == 0)
    }

    @Test("Newcomers queue behind those in line, though the rate would allow them")
    func newcomers() throws {
        var meter = RateMeter()
        _ = meter.take(request("a"), now: Self.start)
        let turn = try #require(place(meter.take(request("b"), now: Self.start)))
        _ = meter.take(request("c"), now: Self.start)
        #expect(meter.take(request("new"), now: Self.start + 1.1e5) != .granted)
        #expect(meter.take(request("b", place: turn.place), now: Self.start + 1.2e5) == .granted)
    }

    @Test("After an outage those whose turn has passed line up once more, and before the newcomers")
    func outage() throws {
        var meter = RateMeter()
        _ = meter.take(request("first"), now: Self.start)
        let turns = try (0..<600).map { try #require(place(meter.take(request("\($0)"), now: Self.start))) }
        let back = Self.start + 120e6
        var again: [(at: Double, place: String)] = []
        for (number, turn) in turns.enumerated() {
            if let place = place(meter.take(request("\(number)", place: turn.place), now: back)) { again.append(place) }
        }
        #expect(again.count == 599)
        #expect(Set(again.map { ($0.at / 1e5).rounded() }).count == 599)
        let new = try #require(place(meter.take(request("new"), now: back)))
        #expect(new.at >= again.map(\.at).max() ?? 0)
    }

    @Test("Lost places cost their own time only")
    func lost() throws {
        var meter = RateMeter()
        _ = meter.take(request("first"), now: Self.start)
        for number in 0..<50 { _ = meter.take(request("\(number)"), now: Self.start) }
        #expect(meter.take(request("new"), now: Self.start + 5.2e6) == .granted)
    }
}
