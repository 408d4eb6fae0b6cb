import Testing

@testable import AMQP

@Suite("Shards of a queue") struct QueueShardsTests {
    @Test("Have one active consumer each, whatever else is asked for")
    func queues() {
        let shards = QueueShards("orders", count: 2, arguments: QueueArguments(type: .quorum))
        let arguments = QueueArguments(type: .quorum, singleActiveConsumer: true)
        #expect(shards.queues == ["orders.0", "orders.1"].map { AMQPQueue($0, arguments: arguments) })
        #expect(QueueShards("orders", count: 0).queues.count == 1)
    }

    /// The hashes are those published for FNV-1a of 64 bits.
    @Test(
        "Have the same keys on every machine",
        arguments: [("", 0xCBF2_9CE4_8422_2325), ("a", 0xAF63_DC4C_8601_EC8C), ("foobar", 0x8594_4171_F739_67E8)]
            as [(String, UInt64)]
    )
    func keys(_ key: String, _ hash: UInt64) {
        for count in [1, 2, 7, 16, 1000] {
            #expect(QueueShards("q", count: count).queueName(for: key) == "q.\(hash % UInt64(count))")
        }
    }

    @Test("Share many keys about evenly")
    func spread() {
        let shards = QueueShards("q", count: 8)
        let counts = Dictionary(grouping: (0..<8000).map { shards.queueName(for: "key-\($0)") }, by: \.self)
        #expect(counts.count == 8)
        #expect(counts.values.allSatisfy { (800...1200).contains($0.count) })
    }
}
