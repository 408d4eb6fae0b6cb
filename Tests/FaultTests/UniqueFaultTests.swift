import Celeriac
import FleetSupport
import Glibc
import ProcessSupport
import Synchronization
import TestSupport
import Testing

@testable import CeleriacCore

private final class AcceptedCalls: Sendable {
    private let ids = Mutex<Set<TaskID>>([])

    var all: Set<TaskID> { ids.withLock { $0 } }

    func insert(_ id: TaskID) { ids.withLock { _ = $0.insert(id) } }
}

extension FaultTests.Processes {
    private func follow(_ key: String, _ value: Int, _ milliseconds: Int, _ app: TaskApp) -> Signature<Int> {
        app.signature("fleet.follow", key, value, milliseconds, returning: Int.self)
    }

    @Test("Of equal calls by twenty producers at once, one is sent and runs")
    func uniqueConcurrency() async throws {
        try await Fleet.withSharedServers { fleet in
            // Locks are the server's, which other tests share.
            let job = fleet.queue.rawValue
            let outcomes = try await concurrently(0..<20, width: 20) { _ async throws -> TaskID? in
                do throws(CeleriacError) {
                    return try await fleet.app.signature("fleet.once", job, false, returning: String.self)
                        .apply(CallOptions(unique: .refuse)).id
                } catch {
                    guard error.code == .alreadyQueued else { throw error }
                    return nil
                }
            }
            #expect(outcomes.compactMap { $0 }.count == 1)
            _ = try await fleet.worker()
            try await fleet.journal.contains("finished", [job])
            #expect(fleet.journal.counts("finished") == [job: 1])
        }
    }

    @Test("Of calls that join by twenty producers at once, one is sent, and it runs with arguments of the last")
    func joiningConcurrency() async throws {
        try await Fleet.withSharedServers { fleet in
            let key = fleet.queue.rawValue
            let policy = UniquePolicy(key: .custom { _ in key }, onConflict: .replaceArguments)
            let options = CallOptions(unique: policy)
            let handles = try await concurrently(1...20, width: 20) { value in
                try await follow(key, value, 0, fleet.app).apply(options)
            }
            #expect(Set(handles.map(\.id)).count == 1)
            #expect(handles.filter { $0.disposition == .sent }.count == 1)
            try await follow(key, 100, 0, fleet.app).apply(options)
            _ = try await fleet.worker()
            #expect(try await handles[0].value(within: .seconds(20)) == 100)
            #expect(fleet.journal.lines("began").count == 1)
        }
    }

    @Test("A producer that is killed between lock and publish keeps equal calls out no longer than sending may take")
    func killedProducer() async throws {
        try await Fleet.withServers { fleet, servers in
            // A broker that answers nothing keeps the producer there.
            try await servers.freeze(.rabbitMQ, true)
            let producer = try fleet.start("producer", ["call", "fleet.once", "job", "false"])
            let locks = try fleet.app.drivers().locks
            let key = #"celeriac-unique:fleet.once:["job",false]{}"#
            try await eventually("the lock is taken") {
                try await !locks.locks(matching: "*fleet.once*", limit: 9).isEmpty
            }
            producer.send(SIGKILL)
            _ = try await producer.wait(within: .seconds(10))
            try await servers.freeze(.rabbitMQ, false)
            let held = try #require(try await locks.locks(matching: "*fleet.once*", limit: 9).first)
            #expect(held.key == key)
            // The program's publish timeout and ten seconds; the policy's lease is an hour.
            #expect(try #require(held.remaining) <= .seconds(40))
        }
    }

    @Test("A call does not join one whose producer was killed before it was sent")
    func killedProducerJoined() async throws {
        try await Fleet.withServers(publishTimeout: .seconds(10)) { fleet, servers in
            try await servers.freeze(.rabbitMQ, true)
            let producer = try fleet.start("producer", ["call", "fleet.follow", "k", "1", "0"])
            let locks = try fleet.app.drivers().locks
            try await eventually("the lock is taken") {
                try await !locks.locks(matching: "*fleet.follow*", limit: 9).isEmpty
            }
            producer.send(SIGKILL)
            _ = try await producer.wait(within: .seconds(10))
            try await servers.freeze(.rabbitMQ, false)
            let task = fleet.app.task(
                "fleet.follow",
                parameters: ["key", "value", "milliseconds"],
                options: TaskOptions(unique: UniquePolicy(key: .fields("key"), onConflict: .replaceArguments))
            ) { (_: String, value: Int, _: Int) in value }
            let handle = try await task.delay("k", 2, 0)
            #expect(handle.disposition == .sent)
            _ = try await fleet.worker()
            #expect(try await handle.value(within: .seconds(30)) == 2)
        }
    }

    @Test("A worker that is killed keeps its call's lock, and the call, run again, frees it")
    func killedHolder() async throws {
        try await Fleet.withServers { fleet, _ in
            let victim = try await fleet.worker("victim")
            let task = fleet.app.signature("fleet.lease", "job", returning: String.self)
            let options = CallOptions(unique: .refuse)
            let handle = try await task.apply(options)
            try await fleet.journal.contains("started", ["job"])
            victim.send(SIGKILL)
            _ = try await victim.wait(within: .seconds(10))
            let error = await #expect(throws: CeleriacError.self) { try await task.apply(options) }
            #expect(error?.conflict?.existing == handle.id)
            _ = try await fleet.worker("heir")
            #expect(try await handle.value(within: .seconds(30)) == "job")
            try await eventually("the lock is free") {
                try await fleet.app.drivers().locks.locks(matching: "celeriac-unique:*", limit: 9).isEmpty
            }
        }
    }

    @Test(
        "Calls that joined a running one's follower run once after it, with the last arguments, though its worker is killed"
    )
    func killedFollower() async throws {
        try await Fleet.withServers { fleet, _ in
            let policy = UniquePolicy(key: .custom { _ in "k" }, onConflict: .replaceArguments, lease: .seconds(4))
            let options = CallOptions(unique: policy)
            let victim = try await fleet.worker("victim")
            let first = try await follow("k", 1, 3_000, fleet.app).apply(options)
            try await eventually("the first runs") { !fleet.journal.lines("began").isEmpty }
            let second = try await follow("k", 2, 0, fleet.app).apply(options)
            #expect(second.disposition == .sent)
            let third = try await follow("k", 3, 0, fleet.app).apply(options)
            #expect(third.id == second.id && third.disposition == .replaced)
            victim.send(SIGKILL)
            _ = try await victim.wait(within: .seconds(10))
            _ = try await fleet.worker("heir")
            #expect(try await first.value(within: .seconds(60)) == 1)
            #expect(try await second.value(within: .seconds(60)) == 3)
            let values = fleet.journal.lines("ended").compactMap(\.more.first)
            #expect(values == ["1", "3"])
        }
    }

    @Test("A Redis that is killed loses no call that has joined, and no lock has two owners")
    func killedRedis() async throws {
        try await Fleet.withServers { fleet, servers in
            let options = CallOptions(unique: UniquePolicy(key: .custom { _ in "k" }, onConflict: .trailing))
            let accepted = AcceptedCalls()
            _ = try await fleet.worker()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for lane in 0..<3 {
                    group.addTask {
                        for number in 0..<30 {
                            do throws(CeleriacError) {
                                let call = follow("k", lane * 100 + number, 20, fleet.app)
                                let handle = try await call.apply(options)
                                accepted.insert(handle.id)
                            } catch {
                                // Refused is refused; what was accepted counts.
                                guard error.code != .alreadyQueued else { throw error }
                            }
                            try await Task.sleep(for: .milliseconds(50))
                        }
                    }
                }
                group.addTask {
                    for _ in 0..<2 {
                        try await Task.sleep(for: .milliseconds(500))
                        try await servers.end(.redis, by: .kill)
                        try await servers.start(.redis)
                    }
                }
                try await group.waitForAll()
            }
            let ids = accepted.all
            #expect(ids.count > 1)
            for id in ids { _ = try await fleet.app.handle(id, returning: Int.self).value(within: .seconds(90)) }
            let fences = fleet.journal.lines("began").compactMap { $0.more.last.flatMap { UInt64($0) } }.filter {
                $0 > 0
            }
            #expect(zip(fences, fences.dropFirst()).allSatisfy { $0 <= $1 }, "\(fences)")
        }
    }
}
