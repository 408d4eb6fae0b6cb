import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let queue = try await channel.declareQueue(exclusive: true).name

        // A publish returns when the broker has taken responsibility. Many at once share the wait.
        let results = await channel.publish((1...1000).map { AMQPMessage("message \($0)", routingKey: queue) })
        print("confirmed: \(results.count { (try? $0.get()) != nil }) of \(results.count)")

        // Mandatory unless said otherwise: what no queue takes comes back.
        let nowhere = uniqueName("nowhere")
        do {
            try await channel.publish(AMQPMessage("lost?", routingKey: nowhere))
        } catch let error as AMQPError {
            print("to a missing queue: \(error.code) (\(error.replyCode ?? 0))")
        }
        var unclaimed = AMQPMessage("lost!", routingKey: nowhere)
        unclaimed.isMandatory = false
        try await channel.publish(unclaimed)
        print("the same without mandatory: confirmed, and dropped")

        // A full queue may refuse instead of dropping its oldest message.
        let full = try await channel.declareQueue(
            exclusive: true,
            arguments: QueueArguments(maxLength: 1, overflow: .rejectPublish)
        ).name
        for number in 1...2 {
            do {
                try await channel.publish(AMQPMessage("message \(number)", routingKey: full))
                print("to a queue of length 1, message \(number): confirmed")
            } catch let error as AMQPError {
                print("to a queue of length 1, message \(number): \(error.code)")
            }
        }
    }
}
