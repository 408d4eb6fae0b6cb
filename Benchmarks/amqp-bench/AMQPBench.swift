import AMQP
import Glibc

/// The AMQP library alone, doing what `bare` does; see Benchmarks/README.md for what each measure means.
@main struct AMQPBench {
    static func main() async throws {
        guard let settings = Settings(CommandLine.arguments.dropFirst()) else {
            complain(Settings.usage)
            exit(64)
        }
        guard let url = getenv("RABBITMQ_URL").map({ String(cString: $0) }) else {
            complain("amqp-bench: set RABBITMQ_URL")
            exit(64)
        }
        let bench = AMQPBench(settings: settings, uri: try AMQPURI(url))
        switch settings.measure {
        case "publish":
            let messages = Array(repeating: settings.message, count: settings.count)
            try await bench.publish { try await bench.publishAtOnce(messages, on: $0) }
        case "publish-batches": try await bench.publish { try await bench.publishByBatches(on: $0) }
        case "publish-tasks": try await bench.publish { try await bench.publishByTasks(on: $0) }
        case "transactions": try await bench.publish { try await bench.publishInTransactions(on: $0) }
        case "drain": try await bench.drain()
        case "memory": try await bench.watchMemory()
        default:
            complain(Settings.usage)
            exit(64)
        }
    }

    static let queue = "celeriac.bench.amqp"

    private let settings: Settings
    private let uri: AMQPURI

    // MARK: Measures

    private func publish(_ publishAll: (AMQPChannel) async throws -> Void) async throws {
        try await withChannel { channel in
            try await declare(on: channel)
            let began = Stopwatch()
            try await publishAll(channel)
            report(began)
            try await channel.deleteQueue(Self.queue)
        }
    }

    private func drain() async throws {
        try await withChannel { channel in
            try await declare(on: channel)
            try await publishByBatches(on: channel)
        }
        try await withChannel { channel in
            let began = Stopwatch()
            let consumer = try await channel.consume(Self.queue, prefetch: settings.prefetch)
            try await take(from: consumer)
            // Answered after the acknowledgements before it were read.
            try await consumer.cancel()
            report(began)
            try await channel.deleteQueue(Self.queue)
        }
    }

    /// Publishes and consumes at once, and watches how much memory the process has.
    private func watchMemory() async throws {
        try await withChannel { channel in
            try await declare(on: channel)
            let began = Stopwatch()
            async let published: Void = withChannel { try await publishByTasks(on: $0) }
            let consumer = try await channel.consume(Self.queue, prefetch: settings.prefetch)
            var samples: [Int] = []
            let parts = 20
            for part in 0..<parts {
                try await take(settings.count * (part + 1) / parts - settings.count * part / parts, from: consumer)
                samples.append(residentOctets())
            }
            try await published
            try await consumer.cancel()
            let (seconds, _) = began.elapsed
            let megabytes = samples.map { "\(Double($0 / 10_000) / 100)" }.joined(separator: ", ")
            print(
                #"{"contestant": "amqp", "measure": "\#(settings.name)", "count": \#(settings.count), "#
                    + #""seconds": \#(seconds), "rate": \#(Double(settings.count) / seconds), "#
                    + #""resident_mb": [\#(megabytes)]}"#
            )
            try await channel.deleteQueue(Self.queue)
        }
    }

    // MARK: Steps

    private func withChannel<R>(_ body: (AMQPChannel) async throws -> R) async throws -> R {
        var options = AMQPConnection.Options()
        options.publishWindow = settings.window
        let connection = try await AMQPConnection.connect(to: uri, options: options)
        let result = try await connection.withChannel(body)
        await connection.close()
        return result
    }

    private func declare(on channel: AMQPChannel) async throws {
        try await channel.deleteQueue(Self.queue)
        _ = try await channel.declareQueue(
            Self.queue,
            arguments: ["x-queue-type": .string(settings.queueType)]
        )
    }

    /// One call with all messages, which slides through the window like the loop of the C program.
    private func publishAtOnce(_ messages: [AMQPMessage], on channel: AMQPChannel) async throws {
        for result in await channel.publish(messages) { try result.get() }
    }

    /// Four tasks, each awaiting the confirmations of a quarter of the window together.
    private func publishByBatches(on channel: AMQPChannel) async throws {
        let message = settings.message
        let size = max(1, settings.window / 4)
        let batches = (settings.count + size - 1) / size
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<4 {
                group.addTask {
                    for batch in stride(from: lane, to: batches, by: 4) {
                        let messages = Array(repeating: message, count: min(size, settings.count - batch * size))
                        for result in await channel.publish(messages) { try result.get() }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// As many tasks as the window is wide, each awaiting the confirmation of each of its messages.
    private func publishByTasks(on channel: AMQPChannel) async throws {
        let message = settings.message
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<min(settings.window, settings.count) {
                let share = (settings.count - lane + settings.window - 1) / settings.window
                group.addTask {
                    for _ in 0..<share { try await channel.publish(message) }
                }
            }
            try await group.waitForAll()
        }
    }

    /// A commit after every hundred messages.
    private func publishInTransactions(on channel: AMQPChannel) async throws {
        let message = settings.message
        try await channel.selectTransactions()
        for number in 1...settings.count {
            try await channel.publishUnconfirmed(message)
            if number % 100 == 0 || number == settings.count { try await channel.commit() }
        }
    }

    /// Off the main actor, where the consumers of a service run.
    @concurrent private func take(_ count: Int? = nil, from consumer: AMQPConsumer) async throws {
        let channel = consumer.channel
        var missing = count ?? settings.count
        while missing > 0, let delivery = try await consumer.next() {
            guard delivery.body.count == settings.size else {
                complain("amqp-bench: a body of \(delivery.body.count) octets")
                exit(1)
            }
            try channel.acknowledge(delivery.tag)
            missing -= 1
        }
    }

    private func report(_ began: Stopwatch) {
        let (seconds, processor) = began.elapsed
        print(
            #"{"contestant": "amqp", "measure": "\#(settings.name)", "count": \#(settings.count), "#
                + #""seconds": \#(seconds), "rate": \#(Double(settings.count) / seconds), "#
                + #""cpu_us": \#(processor * 1e6 / Double(settings.count))}"#
        )
    }
}

private func complain(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = write(STDERR_FILENO, line, line.count)
}
