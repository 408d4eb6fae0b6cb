import TestSupport
import Testing

@testable import CeleriacCore

@Suite("Runs of a task") struct AttemptTests {
    private final class NoSource: DeliverySource {
        func settle(_ tag: UInt64, as settlement: Settlement) {}
    }

    private func attempt(retries: Int = 0, isRedelivered: Bool, _ headers: MessageHeaders = [:]) -> Attempt {
        let delivery = Delivery(
            message: Message(headers: headers, body: []),
            exchange: "",
            routingKey: "q",
            queue: "q",
            isRedelivered: isRedelivered,
            tag: 1,
            source: NoSource()
        )
        return delivery.attempt(retries: retries)
    }

    @Test("A retry is newer than any delivery of the run before, and a redelivery newer than the first")
    func order() {
        let runs = [
            Attempt.none,
            attempt(isRedelivered: false),
            attempt(isRedelivered: true),
            attempt(isRedelivered: true, ["x-delivery-count": 2]),
            attempt(isRedelivered: true, ["x-delivery-count": 100_000]),
            attempt(retries: 1, isRedelivered: false),
            attempt(retries: 1, isRedelivered: true),
            attempt(retries: Int(Int32.max), isRedelivered: true),
        ]
        #expect(runs == runs.sorted())
        #expect(Set(runs).count == runs.count)
        #expect(runs[1] == .first)
        #expect(runs.allSatisfy { $0.rawValue < 1 << 53 })
    }

    @Test("A message that the broker dead-lettered and somebody moved back is newer than before; a delay's end is not")
    func deaths() {
        func death(_ reason: String) -> MessageHeaders {
            ["x-death": [.table(["reason": .string(reason), "count": 1])]]
        }
        let worn = attempt(isRedelivered: true, ["x-delivery-count": 20])
        #expect(attempt(isRedelivered: false, death("delivery_limit")) > worn)
        #expect(attempt(isRedelivered: false, death("rejected")) > worn)
        #expect(attempt(isRedelivered: false, death("expired")) == .first)
    }

    @Test("A call that was parked is newer than the delivery before")
    func parked() {
        let before = attempt(isRedelivered: true, ["x-delivery-count": 3])
        let parked: MessageHeaders = [Attempt.parkedHeader: .int(Int64(before.redeliveries))]
        #expect(attempt(isRedelivered: false, parked) == before)
        #expect(attempt(isRedelivered: true, parked) > before)
        #expect(attempt(retries: 1, isRedelivered: false, parked) > before)
    }

    @Test("A retry does not carry on how often its message was delivered")
    func stripped() throws {
        var message = TaskMessage(id: "1", task: "t", body: Array("[[], {}, {}]".utf8)).encoded()
        message.headers["x-delivery-count"] = 7
        message.headers["own"] = "kept"
        let decoded = try TaskMessage(decoding: message)
        #expect(decoded.headers == ["own": "kept"])
    }
}
