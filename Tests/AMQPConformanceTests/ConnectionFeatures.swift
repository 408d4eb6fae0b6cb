import FaultProxySupport
import Synchronization
import TestSupport
import Testing

@testable import AMQP

enum ConnectionFeatures {
    static let all = [
        Feature(
            "Protocol header",
            "a broker that wants another one says which, and the error names it",
            protocolHeader
        ),
        Feature("Handshake and tuning", "the lower limit of both sides holds for channels and frames", tuning),
        Feature("AMQP URI", "escapes and options are understood, the password is never shown", uri),
        Feature(
            "Addresses",
            "a name is looked up, one that nobody answers at ends at its time-out, one that refuses at once",
            addresses
        ),
        Feature("Refused login", "a wrong password ends in 403, with advice", refusedLogin),
        Feature("Virtual hosts", "the same queue name in two hosts holds different messages", need: .control, hosts),
        Feature("Missing virtual host", "ends in a code of its own", missingHost),
        Feature(
            "Permissions",
            "what lacks the permission to configure, write or read ends in 403, which says so",
            need: .control,
            permissions
        ),
        Feature("Client properties", "the broker lists name, product, version, platform", need: .control, properties),
        Feature("Server properties", "product, version and capabilities can be read", serverProperties),
        Feature("Server version", "is compared, and an older or other server is refused by name", serverVersion),
        Feature(
            "Heartbeats",
            "an idle and a busy connection stay open for thirty intervals: ten minutes, at the default of 20 seconds",
            heartbeats
        ),
        Feature(
            "Blocked connections",
            "a broker short of memory holds publishers back, tells why, and goes on",
            need: .ownBroker,
            blocked
        ),
        Feature("Closing", "everything still running ends, and what follows fails with the reason", closing),
        Feature("Forced closing", "an operator's close is told with code and text", need: .control, forced),
        Feature("Tracing", "the firehose tells what is published and delivered", need: .control, firehose),
        Feature(
            "AMQP 1.0",
            "the broker is asked for 0-9-1, and a server that answers with this one is named",
            .notSupported("another protocol under the same name"),
            newerProtocol
        ),
    ]

    static func protocolHeader(_ lab: Lab) async throws {
        #expect(lab.connection.closeReason == nil)
        let answer = try await Wire.answer(of: lab.uri, to: Array("AMQP".utf8) + [0, 1, 9, 9])
        #expect(answer == FrameEncoder.protocolHeader)
        #expect(answer.withUnsafeBytes { FrameDecoder.foreignProtocol($0) } == "AMQP 0-9-1")
        // The same seen by the library, whose own header arrives damaged.
        try await Wire.withProxy(to: lab.uri) { proxy, uri in
            proxy.greetNewLinks(with: .corrupt(octets: 1, amongNext: 8), to: [.toServer])
            let error = await failure { _ = try await lab.connect(to: uri) }
            #expect(error?.code == .foreignProtocol)
            #expect(error?.message.contains("speaks AMQP 0-9-1") == true)
        }
    }

    static func newerProtocol(_ lab: Lab) async throws {
        try await Wire.withProxy(to: lab.uri) { proxy, uri in
            _ = try await lab.connect(to: uri)
            #expect(proxy.recordings[0].toServer.starts(with: Array("AMQP".utf8) + [0, 0, 9, 1]))
        }
        // No broker here speaks nothing else, so these are the answers that one would give.
        for (version, name) in [([0, 1, 0, 0], "AMQP 1-0"), ([3, 1, 0, 0], "AMQP 1.0 with SASL")] as [([UInt8], String)]
        {
            let answer = Array("AMQP".utf8) + version
            #expect(answer.withUnsafeBytes { FrameDecoder.foreignProtocol($0) } == name)
        }
    }

    static func tuning(_ lab: Lab) async throws {
        let connection = try await lab.connect {
            $0.channelMax = 2
            $0.frameMax = 4096
        }
        let channel = try await connection.openChannel()
        _ = try await connection.openChannel()
        #expect(await failure { _ = try await connection.openChannel() }?.code == .channelLimit)
        let queue = try await channel.declareQueue(durable: false, exclusive: true).name
        let body = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
        try await channel.publish(AMQPMessage(routingKey: queue, body: body))
        #expect(try await channel.get(queue, noAck: true)?.body == body)
        // RabbitMQ's own, whoever asks for more, or does not care.
        for (channels, octets) in [(0, 0), (UInt16.max, UInt32.max)] as [(UInt16, UInt32)] {
            let connection = try await lab.connect {
                $0.channelMax = channels
                $0.frameMax = octets
            }
            #expect(await connection.channelMax == 2047)
            #expect(await connection.decoder.maximumFrameSize == 131_072)
            _ = try await connection.openChannel()
        }
    }

    static func uri(_ lab: Lab) async throws {
        let text = "amqp://gu%65st:guest@\(lab.uri.host):\(lab.uri.port)/%2F?heartbeat=5&channel_max=1&frame_max=8192"
        let uri = try AMQPURI(text)
        #expect(uri.virtualHost == "/" && uri.user == "guest" && uri.heartbeat == .seconds(5))
        #expect(!"\(uri)".contains("guest:guest"))
        let connection = try await lab.connect(to: uri)
        _ = try await connection.openChannel()
        #expect(await failure { _ = try await connection.openChannel() }?.code == .channelLimit)
        #expect(try AMQPURI("amqp://localhost").virtualHost == "/")
        #expect(throws: AMQPError.self) { _ = try AMQPURI("amqp://localhost/%zz") }
    }

    static func addresses(_ lab: Lab) async throws {
        let relay = try lab.relay()
        defer { relay.stop() }
        var uri = lab.uri(over: relay)
        uri.host = "localhost"
        // The relay listens at one of the name's addresses, however many there are.
        let connection = try await lab.connect(to: uri)
        #expect(connection.peer.hasSuffix(":\(relay.port)"))
        _ = try await connection.openChannel()
        relay.setArrivals(.ignore)
        let late = await failure { _ = try await lab.connect(to: uri) { $0.connectTimeout = .milliseconds(200) } }
        #expect(late?.code == .timedOut)
        relay.setArrivals(.refuse)
        #expect(await failure { _ = try await lab.connect(to: uri) }?.code == .unreachable)
    }

    static func refusedLogin(_ lab: Lab) async throws {
        var uri = lab.uri
        uri.password = "canary"
        let error = await failure { _ = try await lab.connect(to: uri) }
        #expect(error?.code == .accessRefused)
        #expect(error?.reply?.code == .accessRefused)
        #expect(error?.message.contains("check user and password") == true)
        #expect(error?.message.contains("guest may log in from the broker's own machine only") == true)
        #expect(error?.message.contains("canary") == false)
    }

    static func missingHost(_ lab: Lab) async throws {
        var uri = lab.uri
        uri.virtualHost = lab.unique("missing")
        let error = await failure { _ = try await lab.connect(to: uri) }
        #expect(error?.code == .virtualHostRefused)
        #expect(error?.reply?.code == .notAllowed)
    }

    /// A virtual host for the duration of a closure.
    private static func withHost(_ lab: Lab, _ body: (AMQPURI, Control) async throws -> Void) async throws {
        let control = try Control.shared()
        var uri = lab.uri
        uri.virtualHost = lab.unique("host")
        try await control("add_vhost", uri.virtualHost)
        do {
            try await control("set_permissions", "-p", uri.virtualHost, uri.user, ".*", ".*", ".*")
            try await body(uri, control)
        } catch {
            try await control("delete_vhost", uri.virtualHost)
            throw error
        }
        try await control("delete_vhost", uri.virtualHost)
    }

    static func hosts(_ lab: Lab) async throws {
        try await withHost(lab) { uri, _ in
            let here = try await lab.durableQueue()
            let there = try await lab.connect(to: uri).openChannel()
            #expect(try await lab.exists(here))
            let error = await failure { _ = try await there.declareQueue(here, passive: true) }
            #expect(error?.code == .notFound)
            let other = try await there.connection.openChannel()
            _ = try await other.declareQueue(here)
            try await lab.publish("here", to: here)
            try await other.publish(.text("there", here))
            #expect(try await lab.bodies(in: here) == ["here"])
            #expect(try await other.get(here)?.text == "there")
            await there.connection.close()
        }
    }

    static func permissions(_ lab: Lab) async throws {
        let control = try Control.shared()
        let user = lab.unique("user")
        try await control("add_user", user, "secret")
        do {
            try await control("set_permissions", "-p", lab.uri.virtualHost, user, "^$", "^$", "^$")
            let queue = try await lab.durableQueue()
            var uri = lab.uri
            (uri.user, uri.password) = (user, "secret")
            let connection = try await lab.connect(to: uri)
            let attempts: [(method: String, permission: String, body: @Sendable (AMQPChannel) async throws -> Void)] = [
                ("queue.declare", "configure", { _ = try await $0.declareQueue("refused") }),
                ("basic.publish", "write", { try await $0.publish(.text("", "", exchange: "amq.direct")) }),
                ("basic.consume", "read", { _ = try await $0.consume(queue) }),
                ("queue.bind", "write", { try await $0.bindQueue(queue, to: "amq.direct", routingKey: "") }),
            ]
            for attempt in attempts {
                let channel = try await connection.openChannel()
                let error = await failure { try await attempt.body(channel) }
                #expect(error?.code == .accessRefused)
                #expect(error?.reply?.method == attempt.method)
                #expect(error?.reply?.advice?.contains(attempt.permission) == true)
                #expect(error?.message.contains("set_permissions") == true)
            }
            await connection.close()
        } catch {
            try await control("delete_user", user)
            throw error
        }
        try await control("delete_user", user)
    }

    /// What both sides say that they have.
    private static let capabilities = [
        "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
        "connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
        "direct_reply_to",
    ]

    static func properties(_ lab: Lab) async throws {
        let name = lab.unique("name")
        _ = try await lab.connect { $0.name = name }
        let list = try await Control.shared()("list_connections", "client_properties")
        let line = try #require(list.split(separator: "\n").first { $0.contains(name) })
        for word in ["celeriac", "0.1.0", "Swift", "connection_name"] {
            #expect(line.contains(word), "\(line)")
        }
        for capability in capabilities {
            #expect(line.contains("{\"\(capability)\",true}"), "\(line)")
        }
    }

    static func serverProperties(_ lab: Lab) async throws {
        #expect(lab.connection.serverProperties["product"] == "RabbitMQ")
        #expect(lab.connection.serverProperties["version"]?.string?.isEmpty == false)
        for capability in capabilities {
            #expect(lab.connection.supports(capability), "\(capability)")
        }
        #expect(!lab.connection.supports("telepathy"))
    }

    static func serverVersion(_ lab: Lab) async throws {
        let version = try #require(lab.connection.serverVersion)
        #expect(lab.connection.serverProduct == "RabbitMQ")
        #expect(version.description == lab.connection.serverProperties["version"]?.string)
        #expect(version > ServerVersion(3, 7))
        try lab.connection.require(ServerVersion(3, 7), for: "nothing")
        let error = await failure { try lab.connection.require(ServerVersion(99), for: "time travel") }
        #expect(error?.code == .unsupported)
        for text in ["time travel", "RabbitMQ 99 or later", version.description] {
            #expect(error?.message.contains(text) == true)
        }
        #expect(await failure { try lab.connection.require(version, of: "Qpid", for: "it") }?.code == .unsupported)
    }

    static func heartbeats(_ lab: Lab) async throws {
        try await Wire.withProxy(to: lab.uri) { proxy, uri in
            let idle = try await lab.connect(to: uri) { $0.heartbeat = .seconds(1) }
            let busy = try await lab.connect { $0.heartbeat = .seconds(1) }
            let (silent, channel) = (try await idle.openChannel(), try await busy.openChannel())
            let queue = try await channel.declareQueue(durable: false, exclusive: true).name
            let consumer = try await channel.consume(queue, noAck: true)
            // Both sides send two in an interval when they have nothing else to say.
            while heartbeats(proxy.recordings[0].fromServer) < 60 || heartbeats(proxy.recordings[0].toServer) < 60 {
                for _ in 0..<10 {
                    try await channel.publish(.text("busy", queue))
                    #expect(try await consumer.required().text == "busy")
                }
                try await Task.sleep(for: .milliseconds(100))
                try #require(idle.closeReason == nil && busy.closeReason == nil)
            }
            // Both directions of both still work.
            try await silent.setPrefetch(1)
            try await channel.setPrefetch(1)
        }
    }

    private static func heartbeats(_ octets: [UInt8]) -> Int {
        (try? Wire.frames(octets))?.count { $0.type == .heartbeat } ?? 0
    }

    static func blocked(_ lab: Lab) async throws {
        try await Control.withOwnBroker { uri, broker in
            let connection = try await lab.connect(to: uri)
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(durable: false, exclusive: true).name
            let (reasons, continuation) = AsyncStream<String?>.makeStream()
            connection.onBlocked { continuation.yield($0) }
            try await broker.control("set_vm_memory_high_watermark", "0.00001")
            async let published: Void = channel.publish(.text("patient", queue), timeout: .seconds(60))
            var iterator = reasons.makeAsyncIterator()
            let reason = try #require(await iterator.next())
            #expect(reason?.contains("memory") == true)
            #expect(connection.currentBlockedReason == reason)
            let impatient = await failure {
                try await channel.publish(.text("impatient", queue), timeout: .milliseconds(10))
            }
            #expect(impatient?.code == .blocked)
            try await broker.control("set_vm_memory_high_watermark", "0.6")
            try await published
            let end = try #require(await iterator.next())
            #expect(end == nil)
            #expect(try await channel.get(queue, noAck: true)?.text == "patient")
            await connection.close()
        }
    }

    static func closing(_ lab: Lab) async throws {
        let connection = try await lab.connect()
        let channel = try await connection.openChannel()
        let consumer = try await channel.consume(
            try await channel.declareQueue(durable: false, exclusive: true).name
        )
        async let end = consumer.next()
        async let reason = connection.waitUntilClosed()
        await connection.close()
        #expect(await reason.code == .closed)
        let nothing = try await end
        #expect(nothing == nil)
        #expect(await failure { _ = try await connection.openChannel() }?.code == .closed)
        #expect(await failure { try await channel.setPrefetch(1) }?.code == .closed)
    }

    static func forced(_ lab: Lab) async throws {
        let name = lab.unique("name")
        let connection = try await lab.connect { $0.name = name }
        let control = try Control.shared()
        let list = try await control("--no-table-headers", "list_connections", "pid", "client_properties")
        let line = try #require(list.split(separator: "\n").first { $0.contains(name) })
        let pid = try #require(line.split(separator: "\t").first)
        async let reason = connection.waitUntilClosed()
        try await control("close_connection", String(pid), "maintenance at noon")
        let error = await reason
        #expect(error.code == .connectionClosed)
        #expect(error.reply?.code == .connectionForced)
        #expect(error.reply?.text.contains("maintenance at noon") == true)
        #expect(error.reply?.advice != nil)
    }

    static func firehose(_ lab: Lab) async throws {
        try await withHost(lab) { uri, control in
            try await control("trace_on", "-p", uri.virtualHost)
            let connection = try await lab.connect(to: uri)
            let watcher = try await connection.openChannel()
            let records = try await watcher.declareQueue(durable: false, exclusive: true).name
            for key in ["publish.#", "deliver.#"] {
                try await watcher.bindQueue(records, to: "amq.rabbitmq.trace", routingKey: key)
            }
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue("watched", durable: false, exclusive: true).name
            try await channel.publish(.text("seen", queue))
            _ = try await channel.get(queue, noAck: true)
            let consumer = try await watcher.consume(records, noAck: true)
            // The watcher's own deliveries are told as well, so the first two are what counts.
            let first = try await consumer.required()
            let second = try await consumer.required()
            #expect(first.routingKey == "publish.")
            #expect(first.text == "seen")
            #expect(first.properties[header: "routing_keys"]?.array == [.string(queue)])
            #expect(second.routingKey == "deliver.watched")
            await connection.close()
        }
    }
}
