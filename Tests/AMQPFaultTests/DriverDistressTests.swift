import AMQP
import CeleriacCore
import ProcessSupport
import TestSupport
import Testing

@testable import CeleriacAMQP

extension AMQPFaultTests {
    /// What the framework's driver makes of a broker that does not do all it is asked to.
    @Suite(
        "The framework's driver on a broker in distress",
        .enabled(if: ServerScript.isAvailable, "set CELERIAC_SERVERS")
    )
    struct DriverDistress {
        @Test("Short of memory, a broker holds publishes up to their deadline, to whichever queue, and settles")
        func alarm() async throws {
            try await PrivateRabbitMQ.with { server in
                try await withDriver(to: server.uri) { broker in
                    let (known, unknown) = (QueueDeclaration("known"), QueueDeclaration("unknown"))
                    for number in 0..<20 { try await broker.publish("\(number)", to: known) }
                    let consumer = try await broker.consume([known], prefetch: 10)
                    var held: [HeldDelivery] = []
                    for _ in 0..<10 { held.append(try await consumer.take()) }
                    let connection = try await broker.publishing.connection(before: .now + .seconds(20))

                    let alarm = Distress.Alarm.memory
                    try await server.control("-q", alarm.rawValue, alarm.limits.raised)
                    // The broker tells a connection when it publishes next.
                    try await eventually("the broker blocks") {
                        try? await broker.publish(
                            .text("sent"),
                            to: Route(to: known),
                            delay: nil,
                            within: .milliseconds(100)
                        )
                        return connection.currentBlockedReason != nil
                    }
                    for queue in [known, unknown] {
                        let error = await #expect(throws: CeleriacError.self) {
                            try await broker.publish(
                                .text("held"),
                                to: Route(to: queue),
                                delay: nil,
                                within: .milliseconds(300)
                            )
                        }
                        #expect(error?.code == .blocked, "\(queue.name)")
                        #expect(error?.message.contains(alarm.word) == true, "\(queue.name)")
                        #expect(error?.isIndeterminate == false, "\(queue.name)")
                    }
                    // The other ten come when the broker has heard of the first.
                    for delivery in held { delivery.acknowledge() }
                    for number in 10..<20 { #expect(try await consumer.texts(1) == ["\(number)"]) }
                    #expect(connection.currentBlockedReason != nil)

                    async let waiting: Void = broker.publish("after", to: unknown)
                    try await server.control("-q", alarm.rawValue, alarm.limits.normal)
                    try await waiting
                    try await broker.publish("after", to: known)
                    #expect(try await broker.take(from: unknown.name).text == "after")
                }
            }
        }

        @Test("While one queue refuses again and again, what another is slow to confirm is not sent again")
        func refusals() async throws {
            try await PrivateRabbitMQ.with { server in
                let (slow, full) = (QueueDeclaration("slow"), QueueDeclaration("full"))
                try await withConnection(to: server.uri) { connection in
                    let arguments = QueueArguments(maxLength: 1, overflow: .rejectPublish)
                    _ = try await connection.openChannel().declareQueue("full", durable: true, arguments: arguments)
                }
                try await withDriver(to: server.uri) { broker in
                    try await broker.publish("fits", to: full)
                    try await broker.publish("first", to: slow)
                    let shared = try #require(broker.sharedChannel)
                    try await server.suspend(queue: "slow", true)
                    let waiting = Task {
                        try await broker.publish(.text("second"), to: Route(to: slow), delay: nil, within: .seconds(60))
                    }
                    try await eventually("it waits") { shared.isAwaited }

                    // A channel is retired once a second.
                    let end = ContinuousClock.now + .milliseconds(2500)
                    repeat {
                        let error = await #expect(throws: CeleriacError.self) {
                            try await broker.publish("too much", to: full)
                        }
                        #expect(error?.code == .refused)
                    } while ContinuousClock.now < end
                    #expect(broker.sharedChannel !== shared)
                    #expect(shared.physical.closeReason == nil)
                    try await server.suspend(queue: "slow", false)
                    try await waiting.value
                    #expect(try await broker.purge("slow") == 2)

                    try await eventually("the channel before closes when nobody waits any more") {
                        try? await broker.publish("too much", to: full)
                        return shared.physical.closeReason != nil
                    }
                }
            }
        }
    }
}

extension PrivateRabbitMQ {
    /// Freezes the process of a queue, which then takes messages and confirms none; or lets it go on.
    fileprivate func suspend(queue: String, _ isSuspended: Bool) async throws {
        let name = "rabbit_misc:r(<<\"/\">>, queue, <<\"\(queue)\">>)"
        let act = isSuspended ? "suspend" : "resume"
        try await control("-q", "eval", "{ok, Q} = rabbit_amqqueue:lookup(\(name)), sys:\(act)(amqqueue:get_pid(Q)).")
    }
}
