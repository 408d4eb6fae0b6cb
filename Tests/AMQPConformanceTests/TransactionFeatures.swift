import Testing

@testable import AMQP

enum TransactionFeatures {
    static let all = [
        Feature("Commit", "publishes take effect together, and not before", commit),
        Feature("Rollback", "what was published is gone, what was settled is on loan again", rollback),
        Feature("Settlements in a transaction", "take effect with the commit", settlements),
        Feature("Confirming or transactional", "a channel is not both; told before anything is sent", either),
    ]

    static func commit(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let channel = try await lab.openChannel()
        try await channel.selectTransactions()
        try await channel.selectTransactions()
        for body in ["1", "2"] { try await channel.publishUnconfirmed(.text(body, queue)) }
        #expect(try await channel.declareQueue(queue, passive: true).messageCount == 0)
        try await channel.commit()
        #expect(try await lab.bodies(in: queue) == ["1", "2"])
    }

    static func rollback(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        for body in ["1", "2", "3"] { try await lab.publish(body, to: queue) }
        let channel = try await lab.openChannel()
        try await channel.selectTransactions()
        let consumer = try await channel.consume(queue)
        let first = try await consumer.required()
        try channel.acknowledge(first.tag)
        try await channel.publishUnconfirmed(.text("4", queue))
        try await channel.rollback()
        // Acknowledging what follows must not acknowledge the first along with it.
        for _ in 0..<2 { try channel.acknowledge(try await consumer.required().tag) }
        try await channel.commit()
        try await channel.recover()
        let again = try await consumer.required()
        #expect(again.text == "1" && again.isRedelivered)
        try channel.acknowledge(again.tag)
        try await channel.commit()
        await channel.close()
        #expect(try await lab.count(queue) == 0)
    }

    static func settlements(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        for body in ["1", "2"] { try await lab.publish(body, to: queue) }
        let channel = try await lab.openChannel()
        try await channel.selectTransactions()
        let consumer = try await channel.consume(queue)
        try channel.acknowledge(try await consumer.required().tag)
        try await channel.commit()
        try channel.acknowledge(try await consumer.required().tag)
        // Without a commit, the second goes back.
        await channel.close()
        #expect(try await lab.bodies(in: queue) == ["2"])
    }

    static func either(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        try await lab.publish("x", to: queue)
        #expect(await failure { try await lab.channel.selectTransactions() }?.code == .channelMode)
        #expect(await failure { try await lab.channel.commit() }?.code == .channelMode)
        let channel = try await lab.openChannel()
        try await channel.selectTransactions()
        #expect(await failure { try await channel.selectConfirms() }?.code == .channelMode)
        let error = await failure { try await channel.publish(.text("x", queue)) }
        #expect(error?.code == .channelMode)
        #expect(error?.isOutcomeUnknown == false)
        #expect(channel.closeReason == nil && lab.channel.closeReason == nil)
    }
}
