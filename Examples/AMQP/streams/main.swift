import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let stream = uniqueName("stream")
        _ = try await channel.declareQueue(
            stream,
            arguments: QueueArguments(type: .stream, maxLengthOctets: 10_000_000)
        )
        try await channel.publish((0..<5).map { "event \($0)" }, routingKey: stream)

        // Reading takes nothing out: acknowledgements only make room within the prefetch.
        for start in [0, 3] as [UInt64] {
            let reader = try await channel.consume(
                stream,
                prefetch: 10,
                arguments: ConsumerArguments(streamOffset: .offset(start))
            )
            var events: [String] = []
            while let delivery = try await reader.next() {
                try channel.acknowledge(delivery.tag)
                events.append(delivery.text)
                if delivery.properties.streamOffset == 4 { break }
            }
            try await reader.cancel()
            print("from offset \(start): \(events)")
        }
        try await channel.deleteQueue(stream)
    }
}
