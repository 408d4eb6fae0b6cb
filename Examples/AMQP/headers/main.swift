import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let documents = uniqueName("documents")
        try await channel.declareExchange(documents, type: .headers, autoDelete: true)

        let all = try await channel.declareQueue(exclusive: true).name
        let wanted: FieldTable = ["format": "pdf", "pages": 1]
        try await channel.bindQueue(all, to: documents, routingKey: "", arguments: .matchingAll(wanted))

        let any = try await channel.declareQueue(exclusive: true).name
        try await channel.bindQueue(any, to: documents, routingKey: "", arguments: .matchingAny(wanted))

        let samples: [(name: String, headers: FieldTable)] = [
            ("letter", ["format": "pdf", "pages": 1, "language": "de"]),
            ("book", ["format": "pdf", "pages": 300]),
            ("note", ["format": "text", "pages": 1]),
        ]
        for (name, headers) in samples {
            try await channel.publish(AMQPMessage(name, exchange: documents) { $0.headers = headers })
        }
        print("all of format=pdf, pages=1: \(try await channel.consume(all).texts(1))")
        print("any of format=pdf, pages=1: \(try await channel.consume(any).texts(3))")
    }
}
