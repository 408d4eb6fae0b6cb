import Testing

@testable import AMQP

@Suite("Messages that wait to be published") struct PublishQueueTests {
    private let now = ContinuousClock.now

    private func call(_ key: String, after delay: Duration = .seconds(9)) -> PublishSubmission {
        .one(PublishCall(AMQPMessage(routingKey: key, body: []), deadline: now + delay, endsWhenSent: false))
    }

    private func batch(_ keys: String..., after delay: Duration = .seconds(9)) -> PublishSubmission {
        .batch(PublishBatch(keys.map { AMQPMessage(routingKey: $0, body: []) }, deadline: now + delay))
    }

    private func keys(_ operations: [PublishOperation]) -> [String] {
        operations.map(\.message.routingKey)
    }

    @Test("Batches and single messages leave in the order in which they came")
    func order() {
        var queue = PublishQueue()
        for submission in [call("a"), batch("b", "c"), batch(), call("d"), batch("e")] { queue.append(submission) }
        #expect(queue.popFirst()?.message.routingKey == "a")
        #expect(queue.popFirst()?.message.routingKey == "b")
        #expect(keys(queue.removeAll()) == ["c", "d", "e"])
        #expect(queue.isEmpty)
    }

    @Test("Messages of a batch are offered together while they are small, and stay until they are dropped")
    func runs() {
        var queue = PublishQueue()
        let sizes = [1, 1, 1, 9, 9, 1, 1]
        let messages = sizes.map { AMQPMessage(routingKey: "a", body: Array(repeating: 0, count: $0)) }
        queue.append(.batch(PublishBatch(messages, deadline: now)))
        queue.append(call("b"))
        func run(_ count: Int = 9) -> Range<Int>? { queue.run(atMost: count, octets: 8)?.indices }
        #expect(run() == 0..<3)
        #expect(run(2) == 0..<2)
        #expect(run(1) == nil)
        queue.dropRun(2)
        #expect(run() == nil)
        for _ in 0..<3 { _ = queue.popFirst() }
        #expect(run() == 5..<7)
        queue.dropRun(2)
        #expect(run() == nil)
        #expect(queue.popFirst()?.message.routingKey == "b")
        #expect(queue.isEmpty)
    }

    @Test("What is confirmed together counts once, and leaves what failed before as it is")
    func confirmedTogether() {
        let batch = PublishBatch(Array(repeating: AMQPMessage(routingKey: "a", body: []), count: 4), deadline: now)
        #expect(batch.isOpen(0..<4))
        batch.finish(1, .failure(AMQPError(.nacked, "no")))
        #expect(!batch.isOpen(0..<2) && batch.isOpen(2..<4))
        batch.confirm(0...2)
        batch.confirm(0...2)
        #expect(!batch.waiter.isFinished)
        batch.confirm(3...3)
        #expect(batch.waiter.isFinished && !batch.isOpen(0..<0))
        let failed = batch.results(otherwise: AMQPError(.timedOut, "late")).map { result in
            if case .failure = result { true } else { false }
        }
        #expect(failed == [false, true, false, false])
    }

    @Test("What has expired is taken out, the rest of a batch under way without what has left")
    func expiry() {
        for leaving in [.zero, .seconds(9)] as [Duration] {
            var queue = PublishQueue()
            queue.append(batch("a", "b", "c", after: leaving))
            queue.append(call("d", after: .zero))
            queue.append(batch("e", "f"))
            _ = queue.popFirst()
            let expired = keys(queue.removeExpired(now: now))
            #expect(expired == (leaving == .zero ? ["b", "c", "d"] : ["d"]))
            #expect(queue.earliestDeadline == now + .seconds(9))
            #expect(keys(queue.removeAll()) == (leaving == .zero ? ["e", "f"] : ["b", "c", "e", "f"]))
            #expect(queue.earliestDeadline == nil)
        }
    }

    @Test("What nobody waits for any more is dropped, the rest of a batch under way without what has left")
    func finished() {
        var queue = PublishQueue()
        let cancelled = call("b")
        for submission in [batch("a1", "a2"), cancelled, call("c")] { queue.append(submission) }
        _ = queue.popFirst()
        queue.removeFinished()
        #expect(queue.submissionCount == 3)
        for operation in cancelled.operations() { operation.finish(.failure(AMQPError(.cancelled, "x"))) }
        queue.removeFinished()
        #expect(queue.submissionCount == 2)
        #expect(keys(queue.removeAll()) == ["a2", "c"])
    }

    @Test("Each message of a batch has the result that it got first")
    func results() {
        let batch = PublishBatch(Array(repeating: AMQPMessage(routingKey: "a", body: []), count: 3), deadline: now)
        let error = AMQPError(.nacked, "no")
        batch.finish(1, .failure(error))
        batch.finish(1, .success(()))
        batch.finish(0, .success(()))
        #expect(!batch.waiter.isFinished)
        let codes = batch.results(otherwise: AMQPError(.timedOut, "late")).map { result -> AMQPError.Code? in
            if case .failure(let error) = result { return error.code }
            return nil
        }
        #expect(codes == [nil, .nacked, .timedOut])
        batch.finish(2, .success(()))
        #expect(batch.waiter.isFinished)
    }
}
