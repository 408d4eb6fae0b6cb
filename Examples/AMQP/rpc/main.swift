import AMQP
import AMQPExampleSupport

/// Squares numbers, and says why it will not.
func square(_ request: RPCRequest) throws -> RPCReply {
    let text = String(decoding: request.body, as: UTF8.self)
    guard let number = Int(text) else { throw RPCFailure(kind: "NotANumber", message: "\"\(text)\" has no square") }
    return RPCReply(Array(String(number * number).utf8))
}

try await withBroker { connection in
    try await connection.withChannel { channel in
        let queue = try await channel.declareQueue(exclusive: true).name
        let server = RPCServer(connection: connection, queue: queue) { try square($0) }

        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            try await connection.withRPCClient { client in
                // Any number of calls at once; each gets its own reply.
                async let three = client.call(queue, Array("3".utf8))
                async let four = client.call(queue, Array("4".utf8), timeout: .seconds(5))
                let squares = try await [three, four].map { String(decoding: $0.body, as: UTF8.self) }
                print("the squares of 3 and 4: \(squares.joined(separator: " and "))")

                do {
                    _ = try await client.call(queue, Array("pi".utf8))
                } catch let error as AMQPError {
                    print("the server's failure: \(error.rpcFailure?.description ?? "none")")
                }
                do {
                    _ = try await client.call(uniqueName("nobody"), [])
                } catch let error as AMQPError {
                    print("a queue that does not exist: \(error.code), at once")
                }
                await server.shutDown()
                do {
                    _ = try await client.call(queue, Array("5".utf8), timeout: .milliseconds(100))
                } catch let error as AMQPError {
                    print("a server that is gone: \(error.code), carried out perhaps: \(error.isOutcomeUnknown)")
                }
            }
            try await group.waitForAll()
        }
    }
}
