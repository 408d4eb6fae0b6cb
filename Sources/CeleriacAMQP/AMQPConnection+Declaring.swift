internal import AMQP
internal import CeleriacCore

extension AMQPConnection {
    /// Opens a channel for a few calls: an error among them closes no other work's channel.
    nonisolated func withSetupChannel<R>(
        _ body: (AMQPChannel) async throws(AMQPError) -> R
    ) async throws(AMQPError) -> R {
        let channel = try await openChannel()
        do throws(AMQPError) {
            let result = try await body(channel)
            await channel.close()
            return result
        } catch {
            await channel.close()
            throw error
        }
    }

    /// Declares a durable queue; one that exists with other properties is taken as it stands.
    ///
    /// - Returns: What the broker said of the difference; `nil` without one.
    nonisolated func declareOrAdopt(_ queue: String, arguments: QueueArguments) async throws(AMQPError) -> String? {
        do throws(AMQPError) {
            try await withSetupChannel { channel throws(AMQPError) in
                _ = try await channel.declareQueue(queue, arguments: arguments)
            }
            return nil
        } catch {
            guard error.code == .preconditionFailed else { throw error }
            try await withSetupChannel { channel throws(AMQPError) in
                _ = try await channel.declareQueue(queue, passive: true)
            }
            return error.message
        }
    }
}

extension QueueDeclaration {
    /// Celery declares its queues without arguments, so whatever is not asked for is not sent.
    var arguments: QueueArguments {
        QueueArguments(
            type: kind == .classic ? nil : QueueArguments.QueueType(rawValue: kind.rawValue),
            messageTTL: messageTTL,
            maxPriority: maximumPriority.map { Int($0) }
        )
    }
}
