import AMQP
import AMQPExampleSupport

/// Tells how many messages everybody else sees.
func count(_ orders: String, _ invoices: String, on channel: AMQPChannel) async throws -> String {
    let orders = try await channel.declareQueue(orders, passive: true).messageCount
    let invoices = try await channel.declareQueue(invoices, passive: true).messageCount
    return "\(orders) orders, \(invoices) invoices"
}

try await withBroker { connection in
    try await connection.withChannel { observer in
        let orders = try await observer.declareQueue(exclusive: true).name
        let invoices = try await observer.declareQueue(exclusive: true).name

        try await connection.withChannel { channel in
            try await channel.selectTransactions()
            for number in 1...2 {
                try await channel.publishUnconfirmed(AMQPMessage("order \(number)", routingKey: orders))
            }
            print("published: \(try await count(orders, invoices, on: observer))")
            try await channel.commit()
            print("committed: \(try await count(orders, invoices, on: observer))")

            // Taking an order and writing its invoice: both, or neither.
            guard let order = try await channel.get(orders) else { return }
            try await channel.publishUnconfirmed(AMQPMessage("invoice for \(order.text)", routingKey: invoices))
            try channel.acknowledge(order.tag)
            try await channel.rollback()
            // What a rollback puts back on loan is still this channel's.
            try await channel.recover()
            print("rolled back: \(try await count(orders, invoices, on: observer))")

            guard let again = try await channel.get(orders) else { return }
            try await channel.publishUnconfirmed(AMQPMessage("invoice for \(again.text)", routingKey: invoices))
            try channel.acknowledge(again.tag)
            try await channel.commit()
            print("committed: \(try await count(orders, invoices, on: observer))")
        }
    }
}
