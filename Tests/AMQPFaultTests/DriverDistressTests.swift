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
