/// Queues that share the work of one stream of messages by a key, so that messages of equal keys stay in order.
///
/// One queue with one consumer keeps the order, and does one thing at a time. Several queues do several things at a time,
/// and keep the order of what belongs together, if each key has its queue and each queue one consumer. Any number of
/// processes may consume all the shards: the broker lets one at a time have a shard, and the next one when that is gone.
///
/// ```swift
/// let shards = QueueShards("orders", count: 8)
/// try await shards.declare(over: channel)
/// try await channel.publish(AMQPMessage(routingKey: shards.queueName(for: order.id), body: body))
/// ```
///
/// A consumer keeps the order only if it finishes one delivery of a shard before it begins the next. After the loss of a
/// consumer its unsettled deliveries come again, to the next one, before what follows them. One that is given back, rather
/// than settled, may be overtaken by what was delivered already: use a prefetch of 1 where that must not happen.
public struct QueueShards: Hashable, Sendable {
    /// What the names of the queues begin with.
    public let name: String
    /// How many there are.
    ///
    /// It decides which key has which queue: to change it, drain all queues first.
    public let count: Int
    /// The queues as they are declared, with a single active consumer each.
    public let queues: [AMQPQueue]

    /// Shards by a name.
    ///
    /// - Parameters:
    ///   - name: What the names of the queues begin with; a dot and a number follow.
    ///   - count: How many queues; less than 1 counts as 1.
    ///   - arguments: Of each queue; no streams, which have no single active consumer.
    public init(_ name: String, count: Int, arguments: QueueArguments = [:]) {
        self.name = name
        self.count = max(1, count)
        var arguments = arguments
        arguments.singleActiveConsumer = true
        queues = (0..<self.count).map { AMQPQueue("\(name).\($0)", arguments: arguments) }
    }

    /// The queue of a key, the same in every process and on every machine.
    public func queueName(for key: String) -> String { queues[index(of: key)].name }

    /// Declares the queues.
    ///
    /// - Throws: ``AMQPError``: as of a declaration.
    public func declare(over topology: some AMQPTopology) async throws(AMQPError) {
        for queue in queues { _ = try await topology.perform(.declareQueue(queue, passive: false)) }
    }

    /// FNV-1a of 64 bits over the key's UTF-8, modulo the count: short, and easily done the same elsewhere.
    private func index(of key: String) -> Int {
        let hash = key.utf8.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { hash, octet in
            (hash ^ UInt64(octet)) &* 0x0000_0100_0000_01B3
        }
        return Int(hash % UInt64(count))
    }
}
