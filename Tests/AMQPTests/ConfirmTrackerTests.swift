import Testing

@testable import AMQP

@Suite("Confirm tracker") struct ConfirmTrackerTests {
    typealias Tracker = ConfirmTracker<Int>

    private func fingerprint(_ key: String, _ messageID: String? = nil) -> Tracker.Fingerprint {
        .init(exchange: "", routingKey: key, messageID: messageID, correlationID: nil, bodySize: 1)
    }

    @Test("Settles exactly what is confirmed, in any order, each publish once", arguments: 0..<200)
    func property(_ seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        var tracker = Tracker()
        var model: [UInt64: Int] = [:]
        var published = 0
        var outcomes: [Int: Tracker.Outcome] = [:]
        for _ in 0..<300 {
            if model.isEmpty || Int.random(in: 0..<3, using: &generator) > 0 {
                published += 1
                let number = tracker.published(published, fingerprint: nil)
                #expect(number == UInt64(published))
                model[number] = published
            } else if let number = model.keys.sorted().randomElement(using: &generator) {
                let multiple = Bool.random(using: &generator)
                let isNack = Bool.random(using: &generator)
                var settled: [Tracker.Settled] = []
                try tracker.confirmed(upTo: number, multiple: multiple, isNack: isNack, into: &settled)
                let expected = multiple ? model.keys.filter { $0 <= number }.sorted() : [number]
                #expect(settled.map(\.id) == expected.compactMap { model[$0] })
                for item in settled {
                    #expect(outcomes.updateValue(item.outcome, forKey: item.id) == nil)
                    #expect(item.outcome == (isNack ? .nacked : .confirmed))
                }
                for number in expected { model[number] = nil }
            }
            #expect(tracker.outstanding == model.count)
        }
        #expect(tracker.abandonAll() == model.sorted { $0.key < $1.key }.map(\.value))
        #expect(tracker.outstanding == 0)
    }

    @Test("Number zero with multiple confirms everything")
    func zero() throws {
        var tracker = Tracker()
        for id in 1...3 { _ = tracker.published(id, fingerprint: nil) }
        var settled: [Tracker.Settled] = []
        try tracker.confirmed(upTo: 0, multiple: true, isNack: false, into: &settled)
        #expect(settled.map(\.id) == [1, 2, 3])
    }

    @Test("Confirmations of the future and of the past are errors", arguments: [0, 1, 4, UInt64.max], [true, false])
    func unknown(_ number: UInt64, _ multiple: Bool) throws {
        var tracker = Tracker()
        var settled: [Tracker.Settled] = []
        for id in 1...3 { _ = tracker.published(id, fingerprint: nil) }
        try tracker.confirmed(upTo: 3, multiple: true, isNack: false, into: &settled)
        settled = []
        #expect(throws: FrameError.unknownConfirmation(number)) {
            try tracker.confirmed(upTo: number, multiple: multiple, isNack: false, into: &settled)
        }
        #expect(settled.isEmpty)
    }

    @Test("A return is told with the confirmation of the message that it looks like")
    func returned() throws {
        var tracker = Tracker()
        _ = tracker.published(1, fingerprint: fingerprint("here", "a"))
        _ = tracker.published(2, fingerprint: fingerprint("nowhere", "b"))
        _ = tracker.published(3, fingerprint: fingerprint("nowhere", "c"))
        #expect(tracker.returned(fingerprint("nowhere", "c"), replyCode: 312, replyText: "NO_ROUTE") == true)
        #expect(tracker.returned(fingerprint("nowhere", "z"), replyCode: 312, replyText: "NO_ROUTE") == false)
        var settled: [Tracker.Settled] = []
        try tracker.confirmed(upTo: 3, multiple: true, isNack: false, into: &settled)
        #expect(settled.map(\.outcome) == [.confirmed, .confirmed, .returned(replyCode: 312, replyText: "NO_ROUTE")])
    }

    @Test("Of messages that look alike, returns are told in order")
    func returnsInOrder() throws {
        var tracker = Tracker()
        for id in 1...3 { _ = tracker.published(id, fingerprint: fingerprint("nowhere")) }
        for _ in 0..<2 { _ = tracker.returned(fingerprint("nowhere"), replyCode: 312, replyText: "NO_ROUTE") }
        var settled: [Tracker.Settled] = []
        try tracker.confirmed(upTo: 3, multiple: true, isNack: false, into: &settled)
        let gone = Tracker.Outcome.returned(replyCode: 312, replyText: "NO_ROUTE")
        #expect(settled.map(\.outcome) == [gone, gone, .confirmed])
    }
}
