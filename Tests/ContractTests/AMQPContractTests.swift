import CeleriacAMQP
import CeleriacCore
import TestSupport
import Testing

@Suite(
    "Broker on RabbitMQ",
    .tags(.integration),
    .enabled(if: TestServer.rabbitMQ != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(2))
)
struct AMQPContractTests {
    @Test("The broker honours its contract", arguments: BrokerContract.allCases)
    func broker(_ clause: BrokerContract) async throws {
        try await clause.verify { try AMQPBroker(ServerURL(TestServer.require(.rabbitMQ)), clientName: "contract") }
    }
}
