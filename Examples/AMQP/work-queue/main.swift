import AMQP
import AMQPExampleSupport

enum Worker { case fast, slow }

/// Lets two workers share ten jobs.
///
/// The fast one is done with a job at once; the slow one is busy with its first until all others have been handed out.
func share(prefetch: UInt16, on channel: AMQPChannel) async throws -> (fast: Int, slow: Int) {
    let queue = try await channel.declareQueue(exclusive: true).name
    let slow = try await channel.consume(queue, prefetch: prefetch)
    let fast = try await channel.consume(queue, prefetch: prefetch)
    try await channel.publish((1...10).map { "job \($0)" }, routingKey: queue)

    let (handedOut, handOut) = AsyncStream.makeStream(of: (worker: Worker, job: AMQPDelivery).self)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { for try await job in slow { handOut.yield((.slow, job)) } }
        group.addTask { for try await job in fast { handOut.yield((.fast, job)) } }
        var jobs: [Worker: Int] = [:]
        var unfinished: [AMQPDelivery] = []
        for await (worker, job) in handedOut {
            jobs[worker, default: 0] += 1
            switch worker {
            case .fast: try channel.acknowledge(job.tag)
            case .slow: unfinished.append(job)
            }
            if jobs.values.reduce(0, +) == 10 { break }
        }
        for job in unfinished { try channel.acknowledge(job.tag) }
        try await slow.cancel()
        try await fast.cancel()
        try await group.waitForAll()
        return (jobs[.fast, default: 0], jobs[.slow, default: 0])
    }
}

try await withBroker { connection in
    try await connection.withChannel { channel in
        let even = try await share(prefetch: 10, on: channel)
        print("prefetch 10: the fast worker did \(even.fast) of 10, the slow one \(even.slow)")
        let fair = try await share(prefetch: 1, on: channel)
        print("prefetch 1: the fast worker did \(fair.fast) of 10, the slow one \(fair.slow)")
    }
}
