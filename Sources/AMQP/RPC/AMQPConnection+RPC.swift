extension AMQPConnection {
    /// Makes a client of calls for the duration of a closure, on a channel of its own.
    ///
    /// When the closure ends, calls still running fail with `.closed`. When the channel or the connection is lost
    /// before that, all outstanding calls fail with its error, and so do later ones; nothing is recovered.
    ///
    /// - Throws: What the closure throws, and ``AMQPError`` if the channel cannot be opened or prepared.
    public nonisolated func withRPCClient<R>(
        _ options: RPCClient.Options = RPCClient.Options(),
        _ body: (RPCClient) async throws -> R
    ) async throws -> R {
        try await withChannel { channel in
            let (client, replies) = try await RPCClient.open(on: channel, options: options)
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await client.receive(replies) }
                defer { group.cancelAll() }
                return try await body(client)
            }
        }
    }

    /// Answers the requests of a queue until the task is cancelled or the connection ends.
    ///
    /// The short form of ``RPCServer``, which can also be shut down in order.
    ///
    /// - Parameters:
    ///   - queue: Where requests wait; it exists already.
    ///   - prefetch: Requests handled at once, at least one.
    ///   - handler: Answers one request; what it throws travels to the caller.
    /// - Throws: What ``RPCServer/run()`` throws.
    public nonisolated func serve(
        _ queue: String,
        prefetch: UInt16 = 16,
        handler: @escaping RPCServer.Handler
    ) async throws(AMQPError) {
        var options = RPCServer.Options()
        options.prefetch = prefetch
        try await RPCServer(connection: self, queue: queue, options: options, handler: handler).run()
    }
}
