import CeleriacCore
import CeleriacRedis
import FoundationEssentials
import Glibc
import Redis

/// Results in Redis: how fast they are stored, and what it costs to wait for them; see Benchmarks/README.md.
@main struct RedisBench {
    private static let usage = """
        usage: redis-bench store|callers|pipeline-fenced|pipeline-lean|waiters --count N
               redis-bench script
        """
    /// Commands under way at once, whoever sends them.
    private static let window = 1000
    /// Commands of one pipeline.
    private static let batch = 100
    private static let ttl = Duration.seconds(86_400)

    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == "script" {
            return print(RedisStores.storeScript.source)
        }
        guard arguments.count == 3, arguments.dropFirst().first == "--count", let count = Int(arguments.last ?? ""),
            count > 0, let url = ProcessInfo.processInfo.environment["REDIS_URL"]
        else { fail(usage) }
        let bench = RedisBench(count: count, url: url)
        switch arguments.first {
        case "store": try await bench.store()
        case "callers": try await bench.callers()
        case "pipeline-fenced": try await bench.pipelineFenced()
        case "pipeline-lean": try await bench.pipelineLean()
        case "waiters": try await Waiters(count: count, url: url).measure()
        default: fail(usage)
        }
    }

    private let count: Int
    private let url: String

    static func record(_ task: TaskID) -> TaskRecord {
        TaskRecord(task: task, state: .success, value: Array("null".utf8), at: Date())
    }

    /// As its task's id comes with a message, it costs nothing here.
    private static func record(_ number: Int) -> TaskRecord {
        record(TaskID("956aeb9c-d3c3-45a6-be9b-\(100_000_000_000 + number)"))
    }

    // MARK: Measures

    /// The framework: one call for each result.
    private func store() async throws {
        let backend = try RedisStores(ServerURL(url), clientName: "bench").results
        try await backend.open(within: .seconds(10))
        try await backend.store(Self.record(.random()), ttl: Self.ttl, within: .seconds(10))
        let began = Stopwatch()
        try await inParallel(count) { number in
            try await backend.store(Self.record(number), ttl: Self.ttl, within: .seconds(60))
        }
        report("celeriac", "fenced", began)
        await backend.close()
    }

    /// The library: one call for each command.
    private func callers() async throws {
        let redis = try await client()
        let began = Stopwatch()
        try await inParallel(count) { number in
            let words = RedisStores.storing(Self.record(number), ttl: Self.ttl)
            _ = try await redis.evaluate(RedisStores.storeScript, keyCount: 2, words: words, timeout: .seconds(60))
        }
        report("redis, one command a caller", "fenced", began)
        await redis.close()
    }

    /// The library: one call for a batch of commands.
    private func pipelineFenced() async throws {
        let redis = try await client()
        let load = RedisCommand("SCRIPT", "LOAD", RedisStores.storeScript.source)
        guard let digest = try await redis.send(load).string else { Self.fail("SCRIPT LOAD gave no digest") }
        try await pipelines(redis, "fenced") { number in
            var command = RedisCommand("EVALSHA", digest, 2)
            command.append(contentsOf: RedisStores.storing(Self.record(number), ttl: Self.ttl))
            return [command]
        }
    }

    /// The same with the two commands that Celery sends.
    private func pipelineLean() async throws {
        try await pipelines(try await client(), "lean") { number in
            let record = Self.record(number)
            let key = "celery-task-meta-\(record.task)"
            return [
                RedisCommand("SETEX", key, 86_400, record.document), RedisCommand("PUBLISH", key, record.document),
            ]
        }
    }

    private func pipelines(
        _ redis: RedisClient,
        _ measure: String,
        _ commands: @escaping @Sendable (Int) -> [RedisCommand]
    ) async throws {
        let began = Stopwatch()
        try await inParallel(count / Self.batch, width: Self.window / Self.batch) { number in
            var batch: [RedisCommand] = []
            for place in 0..<Self.batch { batch += commands(number * Self.batch + place) }
            for reply in try await redis.pipeline(batch, timeout: .seconds(60)) {
                if case .error(let text) = reply { Self.fail(text) }
            }
        }
        report("redis, pipelines", measure, began)
        await redis.close()
    }

    // MARK: Steps

    private func client() async throws -> RedisClient {
        let client = RedisClient(RedisConfiguration(try RedisURL(url)))
        try await client.send(RedisCommand("PING"))
        return client
    }

    /// Runs an operation so many times, in as many tasks as fit the window.
    private func inParallel(
        _ count: Int,
        width: Int = window,
        _ operation: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<width {
                group.addTask {
                    for number in stride(from: lane, to: count, by: width) { try await operation(number) }
                }
            }
            try await group.waitForAll()
        }
    }

    private func report(_ contestant: String, _ measure: String, _ began: Stopwatch) {
        let (seconds, processor) = began.elapsed
        Self.write(
            [
                ("contestant", "\"\(contestant)\""), ("measure", "\"\(measure)\""), ("count", "\(count)"),
                ("seconds", "\(seconds)"), ("rate", "\(Double(count) / seconds)"),
                ("cpu_us", "\(processor * 1e6 / Double(count))"),
            ]
        )
    }

    static func write(_ fields: [(String, String)]) {
        print("{" + fields.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", ") + "}")
    }

    static func fail(_ text: String) -> Never {
        let line = Array("redis-bench: \(text)\n".utf8)
        _ = line.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
        exit(64)
    }
}
