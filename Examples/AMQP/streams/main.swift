import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let stream = uniqueName("stream")
        _ = try await channel.declareQueue(
            stream,
            arguments: ["x-queue-type": "stream", "x-max-length-bytes": 10_000_000]
        )
        try await channel.publish((0..<5).map { "event \($0)" }, routingKey: stream)

        // Reading takes nothing out: acknowledgements only make room within the prefetch.
        for offset in ["first", 3] as [FieldValue] {
            let reader = try await channel.consume(stream, prefetch: 10, arguments: ["x-stream-offset": offset])
            var events: [String] = []
            while let delivery = try await reader.next() {
                // The broker starts at a chunk's beginning, which may lie before the offset that was asked for.
                let position = delivery.properties.headers?["x-stream-offset"]?.integer ?? 0
                if position >= offset.integer ?? 0 { events.append(delivery.text) }
                channel.acknowledge(delivery.tag)
                if position == 4 { break }
            }
            try await reader.cancel()
            print("from \(offset.string ?? "offset \(offset.integer ?? 0)"): \(events)")
        }
        try await channel.deleteQueue(stream)
    }
}
