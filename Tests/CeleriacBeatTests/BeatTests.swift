import CeleriacBeat
import CeleriacCore
import FoundationEssentials
import Synchronization
import TestSupport
import Testing

@Suite("Beat", .timeLimit(.minutes(1))) struct BeatTests {
    private let time = ManualTimeSource(start: at("2026-11-20T10:00:10Z"))
    private let emissions = Emissions()
    private let store: MemoryScheduleStore

    init() { store = MemoryScheduleStore(time: time) }

    /// A schedule of one entry, `tick`, each second; no slot of it is ever too late.
    private func ticking(by beat: String = "") -> Schedule {
        Schedule {
            Entry(
                "tick",
                every: .seconds(1),
                misfire: .all(maximum: 10_000),
                misfireGrace: .seconds(100_000)
            ) { [emissions] slot, id in
                emissions.record("tick", slot, id, by: beat)
            }
        }
    }

    private func makeBeat(
        _ schedule: Schedule,
        _ identity: String = "a",
        store: (any ScheduleStore)? = nil,
        onEvent: @escaping @Sendable (BeatEvent) -> Void = { _ in }
    ) throws -> Beat {
        try Beat(schedule, store: store ?? self.store, identity: identity, time: time, onEvent: onEvent)
    }

    /// Lets the clock run until a condition holds.
    private func advance(until what: String, _ condition: () throws -> Bool) async throws {
        try await eventually(what) {
            if try condition() { return true }
            time.advance(by: .milliseconds(250))
            return false
        }
    }

    private func run(_ beats: Beat..., while body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for beat in beats {
                group.addTask {
                    do { try await beat.run() } catch is CancellationError {}
                }
            }
            defer { group.cancelAll() }
            try await body()
        }
    }

    /// Each slot from the first on, none left out; one that comes again, after a failure, has the same id.
    private func expectEachSlotOnce(_ found: [Emissions.Emission]) throws {
        var seen: Set<TaskID> = []
        let slots = found.filter { seen.insert($0.id).inserted }.map(\.slot)
        let first = try #require(slots.first)
        for (index, slot) in slots.enumerated() { #expect(slot == first + Double(index)) }
    }

    @Test("Emits each slot once, with an id of its own")
    func emits() async throws {
        try await run(try makeBeat(ticking())) {
            try await advance(until: "ten slots") { emissions.of("tick").count >= 10 }
        }
        try expectEachSlotOnce(emissions.of("tick"))
    }

    @Test("Hands over to another beat when one is cut off, without a slot twice or left out")
    func takeOver() async throws {
        let links = [StoreLink(store), StoreLink(store)]
        let lost = Mutex(false)
        let first = try makeBeat(ticking(by: "a"), "a", store: links[0]) { event in
            if event == .lostLeadership { lost.withLock { $0 = true } }
        }
        let second = try makeBeat(ticking(by: "b"), "b", store: links[1])
        links[1].cut()
        try await run(first, second) {
            try await advance(until: "the first leads") { emissions.of("tick").count >= 5 }
            links[0].cut()
            links[1].cut(false)
            try await advance(until: "the second leads") { emissions.of("tick").filter { $0.beat == "b" }.count >= 30 }
            try await advance(until: "the first stopped") { lost.withLock { $0 } }
        }
        let found = emissions.of("tick")
        try expectEachSlotOnce(found)
        let firstOfSecond = try #require(found.firstIndex { $0.beat == "b" })
        #expect(found[firstOfSecond...].allSatisfy { $0.beat == "b" })
    }

    @Test("Takes over at once when the leader shuts down")
    func handsOver() async throws {
        let first = try makeBeat(ticking(by: "a"), "a")
        let link = StoreLink(store)
        link.cut()
        let second = try makeBeat(ticking(by: "b"), "b", store: link)
        try await run(first, second) {
            try await advance(until: "the first leads") { emissions.of("tick").count >= 3 }
            link.cut(false)
            first.shutDown()
            try await advance(until: "the second leads") { emissions.of("tick").contains { $0.beat == "b" } }
        }
        try expectEachSlotOnce(emissions.of("tick"))
    }

    @Test("Stops emitting while the store is away, and goes on afterwards")
    func storeAway() async throws {
        let link = StoreLink(store)
        let events = Mutex<[BeatEvent]>([])
        let beat = try makeBeat(ticking(), store: link) { event in events.withLock { $0.append(event) } }
        try await run(beat) {
            try await advance(until: "slots") { emissions.of("tick").count >= 3 }
            link.cut()
            try await advance(until: "stopped") { events.withLock { $0.contains(.lostLeadership) } }
            let count = emissions.of("tick").count
            link.cut(false)
            try await advance(until: "goes on") { emissions.of("tick").count >= count + 5 }
        }
        try expectEachSlotOnce(emissions.of("tick"))
    }

    @Test("Repeats a failed emission under the same id, and emits other entries meanwhile")
    func failingEntry() async throws {
        let attempts = Mutex<[TaskID]>([])
        var schedule = ticking()
        schedule.entries.append(
            Entry("failing", every: .seconds(3600), misfireGrace: .seconds(3600)) { _, id in
                let count = attempts.withLock { attempts in
                    attempts.append(id)
                    return attempts.count
                }
                if count < 3 { throw CeleriacError(.unroutable, "no queue") }
            }
        )
        let time = ManualTimeSource(start: at("2026-11-20T10:59:50Z"))
        let store = MemoryScheduleStore(time: time)
        let beat = try Beat(schedule, store: store, identity: "a", time: time)
        try await run(beat) {
            try await eventually("three attempts") {
                time.advance(by: .milliseconds(250))
                return attempts.withLock { $0.count } >= 3 && emissions.of("tick").count > 5
            }
        }
        #expect(Set(attempts.withLock { $0 }).count == 1)
    }

    @Test("Does not wait for one entry's slow emission before it emits another's")
    func slowEntry() async throws {
        var schedule = ticking()
        schedule.entries.append(
            Entry("slow", every: .seconds(1)) { [time] _, _ in try await time.sleep(for: .seconds(86_400)) }
        )
        try await run(try makeBeat(schedule)) {
            try await advance(until: "ten slots") { emissions.of("tick").count >= 10 }
        }
    }

    @Test("Emits again under the same id what a dead leader claimed and did not send")
    func claimedNotSent() async throws {
        let slot = at("2026-11-20T10:00:10Z")
        #expect(try await store.lead("celeriac", as: "dead", lease: .seconds(15)))
        #expect(try await store.claim(slot, of: "tick", in: "celeriac", as: "dead") == .granted)
        try await run(try makeBeat(ticking())) {
            try await advance(until: "three slots") { emissions.of("tick").count >= 3 }
        }
        #expect(emissions.of("tick").first?.slot == slot)
        try expectEachSlotOnce(emissions.of("tick"))
    }

    @Test("Resigns and throws when it is cancelled, and runs only once")
    func cancellation() async throws {
        let beat = try makeBeat(ticking())
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                do {
                    try await beat.run()
                    return false
                } catch {
                    return error is CancellationError
                }
            }
            try await advance(until: "slots") { emissions.of("tick").count >= 2 }
            group.cancelAll()
            #expect(try await group.next() == true)
        }
        #expect(try await store.lead("celeriac", as: "other", lease: .seconds(15)))
        await #expect(throws: CeleriacError.self) { try await beat.run() }
    }

    @Test("Refuses two entries of one name, and entries that are not valid")
    func invalidSchedules() throws {
        let same = Schedule {
            Entry("a", every: .seconds(1)) { _, _ in }
            Entry("a", every: .seconds(2)) { _, _ in }
        }
        let error = try #require(throws: CeleriacError.self) { try makeBeat(same) }
        #expect(error.message.contains("\"a\""))
        let wrong = Schedule { Entry("report", cron: "0 25 * * *") { _, _ in } }
        let reason = try #require(throws: CeleriacError.self) { try wrong.validate() }
        #expect(reason.message.contains("report"))
        #expect(reason.message.contains("0-23"))
    }
}
