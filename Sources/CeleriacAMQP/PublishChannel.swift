internal import AMQP
internal import Synchronization

/// A channel that publishes share until it is closed or retired.
final class PublishChannel: Sendable {
    let physical: AMQPChannel
    private let underWay = Atomic<Int>(0)
    private let isRefusalTold = Atomic<Bool>(false)

    init(_ physical: AMQPChannel) { self.physical = physical }

    /// Whether somebody waits for a confirmation on it: closing it would have those messages sent again.
    var isAwaited: Bool { underWay.load(ordering: .acquiring) > 0 }

    func publish(_ message: AMQPMessage, timeout: Duration) async throws(AMQPError) {
        underWay.add(1, ordering: .relaxed)
        defer { underWay.subtract(1, ordering: .releasing) }
        try await physical.publish(message, timeout: timeout)
    }

    /// Whether the refusal that closed it has not been told yet: all that publish on it learn of it.
    func mustTellRefusal() -> Bool { !isRefusalTold.exchange(true, ordering: .relaxed) }
}
