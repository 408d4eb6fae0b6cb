import CeleriacCore
import CeleriacRedis
import Glibc
import Redis
import Synchronization

/// Many waits for results at once: what each takes of memory, and how soon it goes on.
struct Waiters: Sendable {
    let count: Int
    let url: String

    func measure() async throws {
        let backend = try RedisStores(ServerURL(url), clientName: "bench-waiters").results
        try await backend.open(within: .seconds(10))
        let client = RedisClient(RedisConfiguration(try RedisURL(url)))
        let tasks = (0..<count).map { _ in TaskID.random() }
        let woken = Instants()
        let before = residentOctets()

        let latencies = try await withThrowingTaskGroup(of: Void.self) { group in
            for task in tasks {
                group.addTask {
                    _ = try await backend.outcome(of: task, within: .seconds(300))
                    woken.note()
                }
            }
            while try await channels(client) < count { try await Task.sleep(for: .milliseconds(5)) }
            let octets = Double(residentOctets() - before) / Double(count)
            let threads = Self.threads()
            let connections = try await connections(client)

            // From another process's place: its own connection, one result after the other.
            let storing = try RedisStores(ServerURL(url), clientName: "bench-storing").results
            var latencies: [Duration] = []
            for task in tasks {
                let began = ContinuousClock.now
                try await storing.store(RedisBench.record(task), ttl: .seconds(60), within: .seconds(10))
                latencies.append(began.duration(to: await woken.next()))
            }
            try await group.waitForAll()
            await storing.close()
            latencies.sort()
            report(latencies, octets: octets, threads: threads, connections: connections)
            return latencies
        }
        precondition(latencies.count == count)
        await client.close()
        await backend.close()
    }

    private func report(_ latencies: [Duration], octets: Double, threads: Int, connections: Int) {
        func milliseconds(_ index: Int) -> String { "\(latencies[index] / .milliseconds(1))" }
        RedisBench.write(
            [
                ("contestant", "\"celeriac\""), ("measure", "\"waiters\""), ("count", "\(count)"),
                ("octets", "\(octets)"), ("threads", "\(threads)"), ("connections", "\(connections)"),
                ("p50_ms", milliseconds(count / 2)), ("p99_ms", milliseconds(count * 99 / 100)),
            ]
        )
    }

    private func channels(_ client: RedisClient) async throws -> Int {
        let info = try await client.send(RedisCommand("INFO", "stats")).string ?? ""
        let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("pubsub_channels:") }
        return line.flatMap { Int($0.dropFirst("pubsub_channels:".count)) } ?? 0
    }

    private func connections(_ client: RedisClient) async throws -> Int {
        let list = try await client.send(RedisCommand("CLIENT", "LIST")).string ?? ""
        return list.split(separator: "\n").count { $0.contains("name=bench-waiters") }
    }

    private static func threads() -> Int {
        guard let directory = opendir("/proc/self/task") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory) { if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 } }
        return count
    }
}

/// When waits went on, in order, for one reader.
private final class Instants: Sendable {
    private struct State {
        var instants: [ContinuousClock.Instant] = []
        var taken = 0
        var reader: CheckedContinuation<ContinuousClock.Instant, Never>?
    }

    private let state = Mutex(State())

    func note() {
        let now = ContinuousClock.now
        let reader = state.withLock { state -> CheckedContinuation<ContinuousClock.Instant, Never>? in
            guard let reader = state.reader.take() else {
                state.instants.append(now)
                return nil
            }
            state.taken += 1
            state.instants.append(now)
            return reader
        }
        reader?.resume(returning: now)
    }

    func next() async -> ContinuousClock.Instant {
        await withCheckedContinuation { continuation in
            let instant = state.withLock { state -> ContinuousClock.Instant? in
                guard state.taken < state.instants.count else {
                    state.reader = continuation
                    return nil
                }
                state.taken += 1
                return state.instants[state.taken - 1]
            }
            if let instant { continuation.resume(returning: instant) }
        }
    }
}
