import ProcessSupport
import TLSSupport
import TestSupport
import Testing

extension Feature: CustomTestStringConvertible {
    var testDescription: String { "\(name): \(shown)" }
}

@Suite(
    "Conformance to AMQP 0-9-1 and RabbitMQ's extensions",
    .enabled(if: TestServer.rabbitMQ != nil, "set RABBITMQ_URL")
)
struct ConformanceTests {
    @Test("Does it", .timeLimit(.minutes(1)), arguments: Area.features(.broker))
    func feature(_ feature: Feature) async throws {
        try await Lab.run(feature.clause)
    }

    @Test(
        "Does it, as the broker's own tool shows",
        .enabled(if: ServerScript.isAvailable, "run Scripts/with-servers.sh"),
        .timeLimit(.minutes(2)),
        arguments: Area.features(.control)
    )
    func controlled(_ feature: Feature) async throws {
        try await Lab.run(feature.clause)
    }

    @Test(
        "Does it over TLS",
        .enabled(if: TLSServers.areAvailable, "run Scripts/with-servers.sh"),
        .timeLimit(.minutes(2)),
        arguments: Area.features(.security)
    )
    func secured(_ feature: Feature) async throws {
        try await Lab.run(feature.clause)
    }

    @Suite(.serialized, .enabled(if: ServerScript.isAvailable, "run Scripts/with-servers.sh"), OwnBrokerTrait())
    struct WithOwnBroker {
        @Test("Does it with a broker of its own", .timeLimit(.minutes(10)), arguments: Area.features(.ownBroker))
        func feature(_ feature: Feature) async throws {
            try await Lab.run(feature.clause)
        }
    }
}
