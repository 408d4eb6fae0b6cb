import CeleriacAMQP
import CeleriacCore
import TLSSupport
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

@Suite(
    "Broker contract: RabbitMQ over TLS",
    .tags(.integration),
    .enabled(if: TLSServers.areAvailable, "run with Scripts/with-servers.sh"),
    .timeLimit(.minutes(2))
)
struct AMQPOverTLSContractTests {
    @Test("A URL with amqps:// is all it takes", arguments: [.order, .largeBody, .delay] as [BrokerContract])
    func broker(_ clause: BrokerContract) async throws {
        let url = ServerURL(try await TLSServers.server(.rabbitMQ).trustingURL)
        try await clause.verify { try AMQPBroker(url, clientName: "contract") }
    }
}
