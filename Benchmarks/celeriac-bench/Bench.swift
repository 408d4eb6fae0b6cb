import Celeriac
import CeleriacCore
import Foundation
import Glibc
import Synchronization

/// Celeriac's entry in the comparison; see Benchmarks/README.md for what each measure means.
@main struct Bench {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, arguments[2] == "--count", let count = Int(arguments[3]), count > 0 else {
            complain("usage: celeriac-bench publish|drain|drain-results|roundtrip --count N")
            exit(64)
        }
        let bench = try Bench(measure: arguments[1], count: count)
        switch arguments[1] {
        case "publish": try await bench.publish()
        case "drain": try await bench.drain(storesResults: false)
        case "drain-results": try await bench.drain(storesResults: true)
        case "roundtrip": try await bench.roundTrip()
        case "worker": try await bench.work()
        default:
            complain("unknown measure \(arguments[1])")
            exit(64)
        }
    }

    private static let queue: QueueName = "bench-celeriac"

    private let measure: String
    private let count: Int
    private let app: TaskApp
    private let broker: any Broker
    private let nothing: TaskDefinition<Int, Int>

    private init(measure: String, count: Int) throws {
        self.measure = measure
        self.count = count
        let environment = ProcessInfo.processInfo.environment
        guard let rabbitMQ = environment["RABBITMQ_URL"], let redis = environment["REDIS_URL"] else {
            complain("set RABBITMQ_URL and REDIS_URL")
            exit(64)
        }
        var configuration = Configuration(brokerURL: ServerURL(rabbitMQ), resultBackendURL: ServerURL(redis))
        configuration.defaultQueue = Self.queue
        app = TaskApp("bench", configuration: configuration)
        let options = TaskOptions(ignoresResult: measure == "drain" || measure == "publish")
        nothing = app.task("bench.nothing", options: options) { (number: Int) in number }
        broker = try app.drivers().broker
    }

    // MARK: Measures

    private func publish() async throws {
        try await empty()
        _ = try await nothing.delay(0)
        let began = Stopwatch()
        try await enqueue(count)
        report(began)
        try await broker.purge(Self.queue)
        await app.close()
    }

    private func drain(storesResults: Bool) async throws {
        try await empty()
        try await enqueue(count)
        let done = Countdown(count)
        let worker = Worker(app, configuration: .init(concurrency: 50, prefetch: 100)) { event in
            switch event {
            case .succeeded: done.count()
            case .failed(_, let failure): complain("a task failed: \(failure)")
            default: break
            }
        }
        let began = Stopwatch()
        async let running: Void = worker.run()
        await done.wait()
        worker.shutDown()
        try await running
        report(began)
        guard try await broker.depth(of: Self.queue) == 0 else {
            complain("the queue is not empty")
            exit(1)
        }
        await app.close()
    }

    private func roundTrip() async throws {
        try await empty()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["worker", "--count", "1"]
        try process.run()
        defer { process.terminate() }
        for _ in 0..<50 { _ = try await nothing.delay(1).value(within: .seconds(30)) }
        var milliseconds: [Double] = []
        for number in 0..<count {
            let began = ContinuousClock.now
            let value = try await nothing.delay(number).value(within: .seconds(30))
            guard value == number else { exit(1) }
            milliseconds.append(began.duration(to: .now) / .milliseconds(1))
        }
        milliseconds.sort()
        print(
            #"{"contestant": "celeriac", "measure": "roundtrip", "count": \#(count), "#
                + #""p50_ms": \#(milliseconds[count / 2]), "p99_ms": \#(milliseconds[count * 99 / 100])}"#
        )
        await app.close()
    }

    /// The other process of a round trip, until it is told to end.
    private func work() async throws {
        signal(SIGTERM, SIG_DFL)
        try await Worker(app, configuration: .init(concurrency: 4)).run()
    }

    // MARK: Steps

    private func empty() async throws {
        _ = try await broker.declare(QueueDeclaration(Self.queue))
        try await broker.purge(Self.queue)
    }

    /// At most a thousand calls unconfirmed at once, as the others have.
    private func enqueue(_ count: Int) async throws {
        let window = min(1000, count)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<window {
                group.addTask {
                    for number in stride(from: lane, to: count, by: window) { try await nothing.delay(number) }
                }
            }
            try await group.waitForAll()
        }
    }

    private func report(_ began: Stopwatch) {
        let (seconds, processor) = began.elapsed
        print(
            #"{"contestant": "celeriac", "measure": "\#(measure)", "count": \#(count), "seconds": \#(seconds), "#
                + #""rate": \#(Double(count) / seconds), "cpu_us": \#(processor * 1e6 / Double(count))}"#
        )
    }
}

private func complain(_ text: String) {
    FileHandle.standardError.write(Data("celeriac-bench: \(text)\n".utf8))
}

/// Wall and processor time since it was made.
private struct Stopwatch {
    private let began = ContinuousClock.now
    private let processor = Self.processorSeconds

    var elapsed: (seconds: Double, processor: Double) {
        (began.duration(to: .now) / .seconds(1), Self.processorSeconds - processor)
    }

    private static var processorSeconds: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) * 1e-6 }
    }
}

/// Lets one task wait until so many things have happened.
private final class Countdown: Sendable {
    private let remaining: Atomic<Int>
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(_ count: Int) {
        remaining = Atomic(count)
        (stream, continuation) = AsyncStream.makeStream()
    }

    func count() {
        if remaining.subtract(1, ordering: .relaxed).newValue == 0 { continuation.finish() }
    }

    func wait() async {
        for await _ in stream {}
    }
}
