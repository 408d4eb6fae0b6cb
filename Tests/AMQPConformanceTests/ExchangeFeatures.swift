import Testing

@testable import AMQP

enum ExchangeFeatures {
    static let all = [
        Feature("Default exchange", "the routing key is the queue's name", defaultExchange),
        Feature("Direct exchange", "only the bound keys, several for a queue", direct),
        Feature("Fanout exchange", "a copy for each queue, whatever the key; none bound, the message returns", fanout),
        Feature("Topic exchange", "a table of patterns and keys", topic),
        Feature("Headers exchange", "all, any, and both with headers that begin with x-", headers),
        Feature("Bindings between exchanges", "route on until they are removed", betweenExchanges),
        Feature("Unbinding", "a removed binding routes nothing", unbinding),
        Feature("Alternate exchange", "takes what finds no queue, and nothing is returned", alternate),
        Feature("Internal exchange", "takes messages of other exchanges only", isInternal),
        Feature("Declaring an exchange again", "is nothing if equal, and 406 with both values if not", again),
        Feature("Deleting an exchange", "if unused, only without bindings", deleting),
        Feature("Auto-delete of exchanges", "goes away with its last binding", autoDelete),
        Feature("Reserved names", "amq. names are refused with advice", reserved),
        Feature(
            "Delayed messages",
            "the exchange's argument is checked; a broker without the plugin is told as such",
            .partly("needs RabbitMQ's plugin, which Debian's broker lacks: that messages are held back is not shown"),
            delayed
        ),
    ]

    static func defaultExchange(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        try await lab.publish("hello", to: queue)
        #expect(try await lab.bodies(in: queue) == ["hello"])
    }

    static func direct(_ lab: Lab) async throws {
        let exchange = try await lab.exchange(.direct)
        let errors = try await lab.queue()
        let everything = try await lab.queue()
        try await lab.channel.bindQueue(errors, to: exchange, routingKey: "error")
        for key in ["error", "warning", "info"] {
            try await lab.channel.bindQueue(everything, to: exchange, routingKey: key)
        }
        for key in ["info", "error", "warning"] { try await lab.publish(key, to: key, exchange: exchange) }
        #expect(try await lab.bodies(in: errors) == ["error"])
        #expect(try await lab.bodies(in: everything) == ["info", "error", "warning"])
        let error = await failure { try await lab.publish("", to: "errors", exchange: exchange) }
        #expect(error?.code == .returned)
    }

    static func fanout(_ lab: Lab) async throws {
        let exchange = try await lab.exchange(.fanout)
        #expect(await failure { try await lab.publish("", to: "key", exchange: exchange) }?.code == .returned)
        let queues = [try await lab.queue(), try await lab.queue()]
        for queue in queues { try await lab.channel.bindQueue(queue, to: exchange, routingKey: "ignored") }
        try await lab.publish("news", to: "other", exchange: exchange)
        for queue in queues { #expect(try await lab.bodies(in: queue) == ["news"]) }
    }

    static func topic(_ lab: Lab) async throws {
        let table: [String: Set<String>] = [
            "a.b": ["a.b"],
            "a.*": ["a.b", "a.bc"],
            "*.b": ["a.b"],
            "a.#": ["a", "a.b", "a.bc", "a.b.c", "a.b.c.d"],
            "#.c": ["c", "a.b.c"],
            "*": ["a", "c"],
            "*.*": ["a.b", "a.bc"],
            "a.*.#": ["a.b", "a.bc", "a.b.c", "a.b.c.d"],
            "#.b.#": ["a.b", "a.b.c", "a.b.c.d"],
            "#": ["", "a", "c", "a.b", "a.bc", "a.b.c", "a.b.c.d"],
        ]
        let exchange = try await lab.exchange(.topic)
        var queues: [String: String] = [:]
        for pattern in table.keys {
            let queue = try await lab.queue()
            queues[pattern] = queue
            try await lab.channel.bindQueue(queue, to: exchange, routingKey: pattern)
        }
        for key in table["#"] ?? [] { try await lab.publish(key, to: key, exchange: exchange) }
        for (pattern, expected) in table {
            let bodies = try await lab.bodies(in: try #require(queues[pattern]))
            #expect(Set(bodies) == expected && bodies.count == expected.count, "\(pattern)")
        }
    }

    static func headers(_ lab: Lab) async throws {
        let messages: [String: FieldTable] = [
            "both": ["kind": "picture", "size": 3],
            "kind": ["kind": "picture"],
            "size": ["size": 3],
            "x": ["x-kind": "picture", "kind": "text"],
            "none": ["other": true],
        ]
        let table: [(arguments: BindingArguments, expected: Set<String>)] = [
            (.matchingAll(["kind": "picture", "size": 3]), ["both"]),
            (.matchingAny(["kind": "picture", "size": 3]), ["both", "kind", "size"]),
            (BindingArguments(headers: ["kind": "picture"]), ["both", "kind"]),
            (.matchingAll(["size": .void]), ["both", "size"]),
            (.matchingAll([:]), Set(messages.keys)),
            (BindingArguments(match: .anyWithX, headers: ["x-kind": "picture", "size": 3]), ["both", "size", "x"]),
            (BindingArguments(match: .allWithX, headers: ["x-kind": "picture", "kind": "text"]), ["x"]),
        ]
        let exchange = try await lab.exchange(.headers)
        var queues: [String] = []
        for (arguments, _) in table {
            let queue = try await lab.queue()
            queues.append(queue)
            try await lab.channel.bindQueue(queue, to: exchange, routingKey: "", arguments: arguments)
        }
        for (name, headers) in messages {
            try await lab.publish(name, to: "", exchange: exchange, properties: BasicProperties(headers: headers))
        }
        for (queue, row) in zip(queues, table) {
            #expect(Set(try await lab.bodies(in: queue)) == row.expected, "\(row.arguments)")
        }
    }

    static func betweenExchanges(_ lab: Lab) async throws {
        let source = try await lab.exchange(.topic)
        let target = try await lab.exchange(.fanout)
        let queue = try await lab.queue()
        try await lab.channel.bindExchange(target, to: source, routingKey: "a.#")
        try await lab.channel.bindQueue(queue, to: target, routingKey: "")
        try await lab.publish("through", to: "a.b", exchange: source)
        try await lab.channel.unbindExchange(target, from: source, routingKey: "a.#")
        #expect(await failure { try await lab.publish("", to: "a.b", exchange: source) }?.code == .returned)
        #expect(try await lab.bodies(in: queue) == ["through"])
    }

    static func unbinding(_ lab: Lab) async throws {
        let exchange = try await lab.exchange(.direct)
        let queue = try await lab.queue()
        for key in ["a", "b"] { try await lab.channel.bindQueue(queue, to: exchange, routingKey: key) }
        try await lab.channel.unbindQueue(queue, from: exchange, routingKey: "a")
        try await lab.publish("b", to: "b", exchange: exchange)
        #expect(await failure { try await lab.publish("a", to: "a", exchange: exchange) }?.code == .returned)
        #expect(try await lab.bodies(in: queue) == ["b"])
    }

    static func alternate(_ lab: Lab) async throws {
        let strays = try await lab.exchange(.fanout)
        let exchange = try await lab.exchange(.direct, arguments: ExchangeArguments(alternateExchange: strays))
        let known = try await lab.queue()
        let unknown = try await lab.queue()
        try await lab.channel.bindQueue(known, to: exchange, routingKey: "known")
        try await lab.channel.bindQueue(unknown, to: strays, routingKey: "")
        for key in ["known", "stray"] { try await lab.publish(key, to: key, exchange: exchange) }
        #expect(try await lab.bodies(in: known) == ["known"])
        #expect(try await lab.bodies(in: unknown) == ["stray"])
    }

    static func isInternal(_ lab: Lab) async throws {
        let inner = try await lab.exchange(.fanout, isInternal: true)
        let outer = try await lab.exchange(.fanout)
        let queue = try await lab.queue()
        try await lab.channel.bindQueue(queue, to: inner, routingKey: "")
        try await lab.channel.bindExchange(inner, to: outer, routingKey: "")
        try await lab.publish("through", to: "", exchange: outer)
        #expect(try await lab.bodies(in: queue) == ["through"])
        let channel = try await lab.openChannel()
        let error = await failure { try await channel.publish(.text("", "", exchange: inner)) }
        #expect(error?.code == .accessRefused)
        #expect(error?.reply?.advice?.contains("other exchanges") == true)
    }

    static func again(_ lab: Lab) async throws {
        let exchange = try await lab.exchange(.direct)
        try await lab.channel.declareExchange(exchange, durable: false)
        try await lab.channel.declareExchange(exchange, passive: true)
        let channel = try await lab.openChannel()
        let error = await failure { try await channel.declareExchange(exchange, type: .fanout, durable: false) }
        #expect(error?.code == .preconditionFailed)
        #expect(error?.reply?.conflict?.argument == "type")
        #expect(error?.reply?.conflict?.declared == "fanout")
        #expect(error?.reply?.conflict?.existing == "direct")
        let other = try await lab.openChannel()
        let difference = await failure {
            try await other.declareExchange(
                exchange,
                durable: false,
                arguments: ExchangeArguments(alternateExchange: "elsewhere")
            )
        }
        #expect(difference?.reply?.conflict?.argument == "alternate-exchange")
        #expect(difference?.reply?.conflict?.declared == "elsewhere")
        #expect(difference?.reply?.conflict?.existing == nil)
        #expect(difference?.message.contains("declare it as it is") == true)
    }

    static func deleting(_ lab: Lab) async throws {
        let exchange = try await lab.exchange(.direct)
        let queue = try await lab.queue()
        try await lab.channel.bindQueue(queue, to: exchange, routingKey: "k")
        let channel = try await lab.openChannel()
        let error = await failure { try await channel.deleteExchange(exchange, ifUnused: true) }
        #expect(error?.code == .preconditionFailed)
        #expect(error?.reply?.advice?.contains("bindings") == true)
        try await lab.channel.unbindQueue(queue, from: exchange, routingKey: "k")
        try await lab.channel.deleteExchange(exchange, ifUnused: true)
        try await lab.channel.deleteExchange(exchange)
        let passive = try await lab.openChannel()
        #expect(await failure { try await passive.declareExchange(exchange, passive: true) }?.code == .notFound)
    }

    static func autoDelete(_ lab: Lab) async throws {
        let exchange = lab.unique("auto-delete")
        try await lab.channel.declareExchange(exchange, durable: false, autoDelete: true)
        let queue = try await lab.queue()
        try await lab.channel.bindQueue(queue, to: exchange, routingKey: "k")
        try await lab.channel.unbindQueue(queue, from: exchange, routingKey: "k")
        let channel = try await lab.openChannel()
        #expect(await failure { try await channel.declareExchange(exchange, passive: true) }?.code == .notFound)
    }

    static func reserved(_ lab: Lab) async throws {
        let channel = try await lab.openChannel()
        let error = await failure { try await channel.declareExchange("amq.mine") }
        #expect(error?.code == .accessRefused)
        #expect(error?.reply?.advice?.contains("broker's own") == true)
    }

    static func delayed(_ lab: Lab) async throws {
        let untyped = await failure { try await lab.channel.declareExchange("delayed", type: .delayedMessage) }
        #expect(untyped?.code == .invalidArgument)
        #expect(untyped?.message.contains("x-delayed-type") == true)
        let connection = try await lab.connect()
        let channel = try await connection.openChannel()
        let exchange = lab.unique("delayed")
        do throws(AMQPError) {
            try await channel.declareExchange(
                exchange,
                type: .delayedMessage,
                durable: false,
                autoDelete: true,
                arguments: ExchangeArguments(delayedType: .direct)
            )
        } catch {
            #expect(error.reply?.code == .commandInvalid)
            #expect(error.reply?.advice?.contains("plugin") == true)
            return
        }
        let queue = try await channel.declareQueue(durable: false, exclusive: true).name
        try await channel.bindQueue(queue, to: exchange, routingKey: "k")
        var properties = BasicProperties()
        for (body, delay) in [("second", 400), ("first", 100)] {
            properties.delay = .milliseconds(delay)
            // The exchange routes only later, so the message cannot be mandatory.
            try await channel.publish(
                .text(body, "k", exchange: exchange, properties: properties, isMandatory: false)
            )
        }
        #expect(try await channel.consume(queue).texts(2) == ["first", "second"])
    }
}
