import AMQP
import Celeriac
import FleetSupport
import Foundation
import TestSupport
import Testing

@testable import CeleriacCore

extension InteropTests.Wire {
    /// Both sides' messages for one call, as the broker hands them out.
    private func messages(
        _ task: TaskName,
        _ arguments: [JSONValue],
        _ keywords: [String: JSONValue],
        _ options: CallOptions,
        python: [String: JSONValue]
    ) async throws -> (swift: AMQPDelivery, python: AMQPDelivery) {
        try await Fleet.withSharedServers { fleet in
            var call: [String: JSONValue] = [
                "task": .string(task.rawValue), "args": .array(arguments), "kwargs": .object(keywords),
                "queue": .string(fleet.queue.rawValue),
            ]
            call.merge(python) { $1 }
            _ = try await Python.client("publish", .object(call), fleet)
            try await fleet.app.signature(task, arguments: arguments, keywords: keywords).apply(options)

            let connection = try await AMQPConnection.connect(to: AMQPURI(fleet.app.configuration.brokerURL.secret))
            let deliveries = try await connection.withChannel { channel in
                let first = try await channel.get(fleet.queue.rawValue, noAck: true)
                return (first, try await channel.get(fleet.queue.rawValue, noAck: true))
            }
            await connection.close()
            return (swift: try #require(deliveries.1), python: try #require(deliveries.0))
        }
    }

    @Test("A message has the headers and properties that Python's has, of the same types, and the same body")
    func plainCall() async throws {
        let (swift, python) = try await messages(
            "proj.add",
            [2, 3.5, "x", nil, [true, ["k": "v"]]],
            ["greeting": "good day"],
            CallOptions(),
            python: [:]
        )
        expectEqualShape(swift, python)
        // Octet for octet.
        #expect(swift.body == python.body)
        let headers = try #require(swift.properties.headers)
        let peer = try #require(python.properties.headers)
        for name in ["task", "argsrepr", "kwargsrepr", "retries", "timelimit", "ignore_result", "stamps"] {
            #expect(headers[name] == peer[name], "\(name)")
        }
        #expect(headers["id"] == headers["root_id"])
        #expect(swift.properties.correlationID == headers["id"]?.string)
        #expect(swift.properties.expiration == nil)
    }

    @Test("Priority, expiry, time limit and an eta travel as Python's do")
    func callWithOptions() async throws {
        let (swift, python) = try await messages(
            "proj.add",
            [1],
            [:],
            CallOptions(countdown: .milliseconds(900), expires: .seconds(60), priority: 3, timeLimit: .seconds(30)),
            python: ["countdown": 0.9, "expires": 60, "priority": 3, "soft_time_limit": 30]
        )
        expectEqualShape(swift, python)
        #expect(swift.properties.priority == 3)
        #expect(swift.properties.headers?["timelimit"] == python.properties.headers?["timelimit"])
        for name in ["eta", "expires"] {
            let text = try #require(swift.properties.headers?[name]?.string)
            let peer = try #require(python.properties.headers?[name]?.string)
            #expect(text.count == peer.count && text.hasSuffix("+00:00"), "\(text) \(peer)")
        }
        let expiration = try #require(swift.properties.expiration.flatMap { Int($0) })
        #expect((1...60_000).contains(expiration), "milliseconds")
    }

    /// Names and types; the order of a table's fields means nothing.
    private func expectEqualShape(_ swift: AMQPDelivery, _ python: AMQPDelivery) {
        func shape(_ table: FieldTable?) -> [String: String] {
            Dictionary((table?.fields ?? []).map { ($0.name, type($0.value)) }) { $1 }
        }
        #expect(shape(swift.properties.headers) == shape(python.properties.headers))
        #expect(swift.exchange == python.exchange)
        #expect(swift.routingKey == python.routingKey)
        let (mine, theirs) = (swift.properties, python.properties)
        #expect(mine.contentType == theirs.contentType)
        #expect(mine.contentEncoding == theirs.contentEncoding)
        #expect(mine.deliveryMode == theirs.deliveryMode)
        #expect(mine.priority == theirs.priority)
        #expect((mine.expiration == nil) == (theirs.expiration == nil))
        #expect(mine.replyTo?.count == theirs.replyTo?.count, "a UUID")
        #expect(mine.correlationID?.count == theirs.correlationID?.count, "a UUID")
        #expect(mine.messageID == theirs.messageID)
        #expect(mine.timestamp == theirs.timestamp)
        #expect(mine.type == theirs.type)
        #expect(mine.userID == theirs.userID)
        #expect(mine.appID == theirs.appID)
    }

    /// The name of a field's type, with the types of what is in it; of whole numbers the width does not matter.
    private func type(_ value: FieldValue) -> String {
        switch value {
        case .boolean: "boolean"
        case .int8, .uint8, .int16, .uint16, .int32, .uint32, .int64: "integer"
        case .float, .double: "float"
        case .string: "string"
        case .array(let elements): "[\(elements.map(type).joined(separator: ", "))]"
        case .table(let table): "{\(table.fields.map { "\($0.name): \(type($0.value))" }.sorted())}"
        case .void: "void"
        case .decimal, .undecodableString, .timestamp, .octets: "\(value)"
        }
    }
}
