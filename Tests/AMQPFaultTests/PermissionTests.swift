import AMQP
import CeleriacCore
import ProcessSupport
import TestSupport
import Testing

@testable import CeleriacAMQP

extension AMQPFaultTests {
    @Suite("Permissions", .enabled(if: ServerScript.isAvailable, "run Scripts/with-servers.sh"))
    struct Permissions {
        @Test("What doctor says that a user needs is enough, and no more than its queues")
        func enough() async throws {
            try await PrivateRabbitMQ.with { server in
                let queues = ["celery", "a.b*(c)"].map { QueueDeclaration(QueueName($0)) }
                let needed = BrokerPermissions(queues: queues.map(\.name))
                try await server.control("add_user", "worker", "secret")
                try await server.control("set_permissions", "worker", needed.configure, needed.write, needed.read)
                let address = "amqp://worker:secret@\(server.uri.host):\(server.uri.port)/%2F"
                let broker = try AMQPBroker(ServerURL(address), clientName: "permissions")
                do {
                    try await use(broker, queues)
                } catch {
                    await broker.close(grace: .seconds(1))
                    throw error
                }
                await broker.close(grace: .seconds(1))
            }
        }

        private func use(_ broker: AMQPBroker, _ queues: [QueueDeclaration]) async throws {
            let consumer = try await broker.consume(queues, prefetch: 10)
            for queue in queues {
                try await broker.publish("now", to: queue)
                #expect(try await consumer.texts(1) == ["now"])
                try await broker.publish(.text("later"), to: Route(to: queue), delay: .seconds(1))
                #expect(try await consumer.texts(1) == ["later"])
                let letters = QueueDeclaration(queue.name.deadLetters)
                try await broker.publish("dead", to: letters)
                #expect(try await broker.depth(of: letters.name) == 1)
                #expect(try await broker.take(from: letters.name).text == "dead")
                #expect(try await broker.purge(queue.name) == 0)
            }
            for stranger in ["celeryx", "xcelery", "aXb*(c)", "celery.dlq2"] {
                let error = await #expect(throws: CeleriacError.self) {
                    try await broker.publish("x", to: QueueDeclaration(QueueName(stranger)))
                }
                #expect(error?.code == .accessDenied, "\(stranger)")
            }
        }
    }
}
