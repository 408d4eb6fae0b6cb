internal import Synchronization

/// Takes requests from a queue, and answers each to the address that it names.
///
/// Up to `Options.prefetch` requests are handled at once. A request is acknowledged when the broker has confirmed its
/// reply, so a request whose server dies is carried out by another: handlers must bear being run twice.
///
/// ```swift
/// let server = RPCServer(connection: connection, queue: "prices") { request in
///     guard let price = prices[request.body] else { throw RPCFailure(kind: "NoSuchFruit", message: "we sell apples") }
///     return RPCReply(price)
/// }
/// try await server.run()
/// ```
public final class RPCServer: Sendable {
    /// Carries out a request.
    ///
    /// What it throws is told to the caller: an ``RPCFailure`` as it is, of other errors the type only.
    public typealias Handler = @Sendable (RPCRequest) async throws -> RPCReply

    /// How a server of calls behaves.
    public struct Options: Sendable {
        /// Requests handled at once, at least one.
        public var prefetch: UInt16 = 16
        /// For publishing one reply.
        public var replyTimeout: Duration = .seconds(30)

        /// The defaults.
        public init() {}
    }

    /// What a server has done so far.
    public struct Statistics: Hashable, Sendable {
        /// Requests answered with what the handler returned; those that named no address included.
        public var answered = 0
        /// Requests answered with a failure.
        public var failed = 0
        /// Replies that nobody took: the caller's queue was gone, or the broker did not accept the reply in time.
        ///
        /// With direct reply-to the broker does not tell.
        public var unclaimed = 0
    }

    private struct State: Sendable {
        var consumer: AMQPConsumer?
        var isStopping = false
        var statistics = Statistics()
    }

    private let connection: AMQPConnection
    private let queue: String
    private let options: Options
    private let handler: Handler
    private let state = Mutex(State())

    /// A server for a queue that exists.
    public init(
        connection: AMQPConnection,
        queue: String,
        options: Options = Options(),
        handler: @escaping Handler
    ) {
        self.connection = connection
        self.queue = queue
        self.options = options
        self.handler = handler
    }

    /// What it has done so far.
    public var statistics: Statistics { state.withLock { $0.statistics } }

    /// Answers requests, on a channel of its own, until ``shutDown()``.
    ///
    /// Cancelling stops it at once: running handlers are cancelled, and their requests go back to the queue.
    ///
    /// - Throws: ``AMQPError``: `.notFound` if there is no such queue, `.consumerCancelled` if it is deleted,
    ///   `.cancelled`, and what ends channels and connections.
    public func run() async throws(AMQPError) {
        let channel = try await connection.openChannel()
        let result = await serve(on: channel)
        await channel.close()
        try result.get()
    }

    /// Takes no further requests, answers those taken, and then ends ``run()``.
    ///
    /// Waits only until the broker sends no more.
    public func shutDown() async {
        let consumer = state.withLock { state in
            state.isStopping = true
            return state.consumer
        }
        // It fails only when the channel has ended, and then so has the consumer.
        try? await consumer?.cancel()
    }

    private func serve(on channel: AMQPChannel) async -> Result<Void, AMQPError> {
        await withDiscardingTaskGroup { group in
            do throws(AMQPError) {
                let consumer = try await channel.consume(queue, prefetch: max(1, options.prefetch))
                let isStopping = state.withLock { state in
                    state.consumer = consumer
                    return state.isStopping
                }
                if isStopping { try await consumer.cancel() }
                while let delivery = try await consumer.next() {
                    // Bounded by the prefetch: a request leaves room when it is acknowledged.
                    group.addTask { await self.answer(delivery, on: channel) }
                }
                return .success(())
            } catch {
                group.cancelAll()
                return .failure(error)
            }
        }
    }

    private func answer(_ delivery: AMQPDelivery, on channel: AMQPChannel) async {
        var outcome: Result<RPCReply, RPCFailure>
        do {
            outcome = .success(try await handler(RPCRequest(delivery)))
        } catch {
            // Stopped rather than failed: unsettled, the request goes back when the channel closes.
            if Task.isCancelled { return }
            outcome = .failure(RPCFailure(thrown: error))
        }
        let isClaimed: Bool
        do throws(AMQPError) {
            isClaimed = try await reply(to: delivery, &outcome, on: channel)
            try channel.acknowledge(delivery.tag)
        } catch {
            // Cancelled, or the channel is gone: the request goes back to its queue.
            return
        }
        state.withLock { state in
            switch outcome {
            case .success: state.statistics.answered += 1
            case .failure: state.statistics.failed += 1
            }
            if !isClaimed { state.statistics.unclaimed += 1 }
        }
    }

    /// - Returns: Whether the broker took the reply.
    /// - Throws: When the request should go back.
    private func reply(
        to delivery: AMQPDelivery,
        _ outcome: inout Result<RPCReply, RPCFailure>,
        on channel: AMQPChannel
    ) async throws(AMQPError) -> Bool {
        guard let message = Self.reply(to: delivery.properties, outcome) else { return true }
        do throws(AMQPError) {
            try await channel.publish(message, timeout: options.replyTimeout)
            return true
        } catch {
            if Task.isCancelled || channel.closeReason != nil { throw error }
            switch error.code {
            // The reply cannot be sent as it is, and the caller should not have to wait in vain.
            case .bodyTooLarge, .invalidArgument:
                guard case .success = outcome else { return false }
                outcome = .failure(RPCFailure(kind: "InvalidReply", message: error.message))
                return try await reply(to: delivery, &outcome, on: channel)
            // Carrying the request out again would help nobody: by now its caller has given up, or is gone.
            default: return false
            }
        }
    }

    private static func reply(
        to request: BasicProperties,
        _ outcome: Result<RPCReply, RPCFailure>
    ) -> AMQPMessage? {
        guard let replyTo = request.replyTo, !replyTo.isEmpty else { return nil }
        var properties: BasicProperties
        let body: [UInt8]
        switch outcome {
        case .success(let reply): (properties, body) = (reply.properties, reply.body)
        case .failure(let failure):
            properties = BasicProperties()
            properties.headers = [RPCFailure.header: .table(failure.table)]
            body = []
        }
        properties.correlationID = request.correlationID
        return AMQPMessage(
            routingKey: replyTo,
            properties: properties,
            body: body,
            // RabbitMQ routes direct replies past all queues, and so would return each that is mandatory.
            isMandatory: !replyTo.hasPrefix("amq.rabbitmq.reply-to.")
        )
    }
}
