package import CeleriacCore

/// What RabbitMQ must allow a user for the calls and workers of some queues, delays and dead letters included: the three
/// regular expressions of `rabbitmqctl set_permissions`.
struct BrokerPermissions: Hashable {
    let configure: String
    let write: String
    let read: String

    init(queues: [QueueName]) {
        let names = queues.map { Self.escaped($0.rawValue) }.joined(separator: "|")
        let own = "^(\(names))(\\.dlq)?$|^celery_delayed_"
        configure = own
        // The default exchange is called so where permissions are concerned.
        write = own + "|^amq\\.default$"
        read = own
    }

    private static func escaped(_ name: String) -> String {
        name.reduce(into: "") { escaped, character in
            if !character.isLetter, !character.isNumber, character != "_", character != "-" { escaped += "\\" }
            escaped.append(character)
        }
    }
}

extension AMQPBroker: PermissionDescribing {
    /// The permissions that calls and workers of the queues need.
    package func permissions(for queues: [QueueName]) -> Finding {
        let needed = BrokerPermissions(queues: queues)
        return .ok(
            "broker permissions",
            "a user needs: configure '\(needed.configure)', write '\(needed.write)', read '\(needed.read)'"
        )
    }
}
