import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let documents = uniqueName("documents")
        try await channel.declareExchange(documents, type: "headers", autoDelete: true)

        let all = try await channel.declareQueue(exclusive: true).name
        let wanted: FieldTable = ["format": "pdf", "pages": 1]
        var arguments = wanted
        arguments["x-match"] = "all"
        try await channel.bindQueue(all, to: documents, routingKey: "", arguments: arguments)

        let any = try await channel.declareQueue(exclusive: true).name
        arguments["x-match"] = "any"
        try await channel.bindQueue(any, to: documents, routingKey: "", arguments: arguments)

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
