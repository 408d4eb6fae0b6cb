import Testing

@testable import AMQP

@Suite("Places for dead letters") struct DeadLetterQueueTests {
    @Test("Are declared before the queue that names them")
    func order() throws {
        let operations = try DeadLetterQueue("orders.dead", exchange: "dead").operations(declaring: AMQPQueue("orders"))
        let arguments = QueueArguments(deadLetterExchange: "dead", deadLetterRoutingKey: "orders.dead")
        #expect(
            operations == [
                .declareExchange(AMQPExchange("dead"), passive: false),
                .declareQueue(AMQPQueue("orders.dead"), passive: false),
                .bind(AMQPBinding(source: "dead", destination: .queue("orders.dead"), routingKey: "orders.dead")),
                .declareQueue(AMQPQueue("orders", arguments: arguments), passive: false),
            ]
        )
    }

    @Test("Need no exchange of their own")
    func defaultExchange() throws {
        let operations = try DeadLetterQueue("orders.dead").operations(declaring: AMQPQueue("orders"))
        let arguments = QueueArguments(deadLetterExchange: "", deadLetterRoutingKey: "orders.dead")
        #expect(
            operations == [
                .declareQueue(AMQPQueue("orders.dead"), passive: false),
                .declareQueue(AMQPQueue("orders", arguments: arguments), passive: false),
            ]
        )
    }

    @Test("Do not contradict what the queue names itself")
    func contradiction() throws {
        var queue = AMQPQueue("orders", arguments: QueueArguments(deadLetterExchange: "elsewhere"))
        let error = #expect(throws: AMQPError.self) {
            _ = try DeadLetterQueue("orders.dead").operations(declaring: queue)
        }
        #expect(error?.code == .invalidArgument && error?.message.contains("elsewhere") == true)
        queue.arguments = QueueArguments(deadLetterExchange: "", deadLetterRoutingKey: "orders.dead")
        #expect(try DeadLetterQueue("orders.dead").operations(declaring: queue).count == 2)
        #expect(throws: AMQPError.self) { _ = try DeadLetterQueue("").operations(declaring: queue) }
    }
}
