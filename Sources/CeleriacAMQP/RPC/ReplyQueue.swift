internal import AMQP
internal import CeleriacCore

/// The queue in which this process gets the results of its calls, and the consumer that empties it.
///
/// Recovery brings both back. The queue outlives a lost connection, other than Celery's, which is deleted with its consumer:
/// what is sent meanwhile waits in it.
struct ReplyQueue: Sendable {
    private let name: String
    private let channel: RecoveringChannel
    private let consumer: RecoveringConsumer

    /// Declares the queue and begins to consume it.
    ///
    /// - Parameter expires: How long the broker keeps the queue while nobody consumes it.
    static func open(
        _ name: String,
        expires: Duration,
        on connection: RecoveringConnection
    ) async throws(AMQPError) -> ReplyQueue {
        let channel = try await connection.openChannel()
        do throws(AMQPError) {
            _ = try await channel.declareQueue(name, arguments: QueueArguments(expires: expires))
            // A queue that was deleted is to be declared again first, which is more than a consumer would do by itself.
            let consumer = try await channel.consume(name, prefetch: 100, whenCancelled: .end)
            return ReplyQueue(name: name, channel: channel, consumer: consumer)
        } catch {
            await channel.close()
            throw error
        }
    }

    /// Takes what comes until the end, and acknowledges it after it was handled.
    ///
    /// - Returns: Why nothing more comes; `nil` if this side ended it.
    func receive(_ handle: (AMQPDelivery) async -> Void) async -> AMQPError? {
        do throws(AMQPError) {
            while let delivery = try await consumer.next() {
                await handle(delivery)
                do throws(AMQPError) {
                    try channel.acknowledge(delivery.tag)
                } catch {
                    // Of a connection that is gone: it comes again, which does no harm.
                    assert(error.code == .staleDelivery, "acknowledging fails in no other way")
                }
            }
            return nil
        } catch {
            return error.code == .cancelled ? nil : error
        }
    }

    /// Ends consuming; the queue stays.
    func leave() async { await channel.close() }

    /// Ends consuming, and deletes the queue with what nobody will read; at the latest when the task is cancelled.
    func close() async {
        // What cannot be deleted ends with its time to live.
        _ = try? await channel.deleteQueue(name)
        await channel.close()
    }
}
