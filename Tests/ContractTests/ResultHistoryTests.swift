import CeleriacCore
import CeleriacRedis
import FleetSupport
import ProcessSupport
import Redis
import Synchronization
import TestSupport
import Testing

@Suite("Histories of results", .timeLimit(.minutes(5)))
struct ResultHistoryTests {
    @Test("In memory no result goes backwards, whatever runs, crashes, repeats and late writes a call has seen")
    func memory() async throws {
        let time = ManualTimeSource()
        let backend = MemoryResultBackend(time: time)
        let stage = ResultHistory.Stage(backend: backend, expire: { _ in time.advance(by: .seconds(61)) })
        for seed in 0..<4000 { try await ResultHistory(seed: UInt64(seed)).verify(stage) }
        await backend.close()
    }

    @Test(
        "On Redis the same histories end the same, with Python writing in between",
        .tags(.integration),
        .enabled(if: TestServer.redis != nil, "set REDIS_URL"),
        arguments: [ResultCompression.none, .zlib(from: 300)]
    )
    func redis(_ compression: ResultCompression) async throws {
        let url = try TestServer.require(.redis)
        let backend = try RedisStores(ServerURL(url), clientName: "histories", compression: compression).results
        let client = RedisClient(RedisConfiguration(try RedisURL(url)))
        let stage = Self.stage(backend, client)
        _ = try await concurrently(0..<400, width: 16) { try await ResultHistory(seed: UInt64($0)).verify(stage) }
        await client.close()
        await backend.close()
    }

    @Test(
        "On a Redis that is killed again and again, replies are lost and no result goes backwards",
        .tags(.integration),
        .enabled(if: ServerScript.isAvailable, "set CELERIAC_SERVERS, as Scripts/with-servers.sh does")
    )
    func restarts() async throws {
        try await RedisServer.with { server in
            let backend = try RedisStores(server.url, clientName: "histories").results
            let client = RedisClient(RedisConfiguration(try RedisURL(server.url.secret)))
            var stage = Self.stage(backend, client)
            stage.losesReplies = true
            let histories = Countdown(400)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [stage] in
                    _ = try await concurrently(0..<400, width: 64) { seed in
                        try await ResultHistory(seed: UInt64(seed) + 10_000, steps: 60).verify(stage)
                        histories.count()
                    }
                }
                for milestone in [320, 200, 80] {
                    try await eventually("\(milestone) histories are left") { histories.left <= milestone }
                    try await server.end(by: .kill)
                    try await server.start()
                }
                try await group.waitForAll()
            }
            await client.close()
            await backend.close()
        }
    }

    private static func stage(_ backend: any ResultBackend, _ client: RedisClient) -> ResultHistory.Stage {
        ResultHistory.Stage(
            backend: backend,
            expire: { task in
                // In the past: ends them by the server's own clock, both at once as their equal time to live does.
                for key in ["celery-task-meta-\(task)", "{celery-task-meta-\(task)}.attempt"] {
                    try await client.send(RedisCommand("PEXPIREAT", key, 1), timeout: .seconds(30), retry: .idempotent)
                }
            },
            overwrite: { record in
                let command = RedisCommand("SETEX", "celery-task-meta-\(record.task)", 60, record.document)
                try await client.send(command, timeout: .seconds(30), retry: .idempotent)
            }
        )
    }
}

/// Counts down from any thread.
private final class Countdown: Sendable {
    private let value: Atomic<Int>

    init(_ value: Int) { self.value = Atomic(value) }

    var left: Int { value.load(ordering: .relaxed) }

    func count() { value.subtract(1, ordering: .relaxed) }
}
