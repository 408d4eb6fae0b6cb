import Testing

@testable import AMQP

@Suite("Confirm tracker") struct ConfirmTrackerTests {
    typealias Tracker = ConfirmTracker<Int>

    @Test("Settles exactly what is confirmed, in any order, each publish once", arguments: 0..<200, [4, 1024])
    func property(_ seed: UInt64, _ fewSlots: Int) throws {
        var generator = SeededGenerator(state: seed)
        var tracker = Tracker(fewSlots: fewSlots)
        var model: [UInt64: Int] = [:]
        var published = 0
        var outcomes: [Int: Tracker.Outcome] = [:]
        for _ in 0..<300 {
            if model.isEmpty || Int.random(in: 0..<3, using: &generator) > 0 {
                let first = published + 1
                published += Int.random(in: 1...3, using: &generator)
                if first == published {
                    #expect(tracker.published(first) == UInt64(first))
                } else {
                    tracker.published(contentsOf: first...published)
                }
                for id in first...published { model[UInt64(id)] = id }
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
        for id in 1...3 { _ = tracker.published(id) }
        var settled: [Tracker.Settled] = []
        try tracker.confirmed(upTo: 0, multiple: true, isNack: false, into: &settled)
        #expect(settled.map(\.id) == [1, 2, 3])
    }

    @Test("Confirmations of the future and of the past are errors", arguments: [0, 1, 4, UInt64.max], [true, false])
    func unknown(_ number: UInt64, _ multiple: Bool) throws {
        var tracker = Tracker()
        var settled: [Tracker.Settled] = []
        for id in 1...3 { _ = tracker.published(id) }
        try tracker.confirmed(upTo: 3, multiple: true, isNack: false, into: &settled)
        settled = []
        #expect(throws: FrameError.unknownConfirmation(number)) {
            try tracker.confirmed(upTo: number, multiple: multiple, isNack: false, into: &settled)
        }
        #expect(settled.isEmpty)
    }

    @Test("A return is told with the confirmation of the first publish that matches and has not returned")
    func returned() throws {
        var tracker = Tracker()
        for id in 1...4 { _ = tracker.published(id) }
        let matched = (0..<2).map { _ in tracker.returned(replyCode: 312, replyText: "NO_ROUTE") { $0 >= 2 } }
        #expect(matched == [2, 3])
        #expect(tracker.returned(replyCode: 312, replyText: "NO_ROUTE") { $0 == 3 } == nil)
        #expect(tracker.returned(replyCode: 312, replyText: "NO_ROUTE") { $0 == 9 } == nil)
        var settled: [Tracker.Settled] = []
        try tracker.confirmed(upTo: 4, multiple: true, isNack: false, into: &settled)
        let gone = Tracker.Outcome.returned(replyCode: 312, replyText: "NO_ROUTE")
        #expect(settled.map(\.outcome) == [.confirmed, gone, gone, .confirmed])
    }

    @Test("A publish that is never confirmed keeps no later one in memory")
    func straggler() throws {
        var tracker = Tracker()
        var settled: [Tracker.Settled] = []
        _ = tracker.published(1)
        var largest = 0
        for id in 2...100_000 {
            let number = tracker.published(id)
            try tracker.confirmed(upTo: number, multiple: false, isNack: false, into: &settled)
            #expect(settled.map(\.id) == [id])
            settled = []
            largest = max(largest, tracker.slotCount)
        }
        #expect(largest < 2000)
        #expect(tracker.outstanding == 1)
        #expect(tracker.returned(replyCode: 312, replyText: "NO_ROUTE") { $0 == 1 } == 1)
        #expect(throws: FrameError.self) {
            try tracker.confirmed(upTo: 2, multiple: false, isNack: false, into: &settled)
        }
        try tracker.confirmed(upTo: 1, multiple: false, isNack: false, into: &settled)
        #expect(settled == [.init(id: 1, outcome: .returned(replyCode: 312, replyText: "NO_ROUTE"))])
        #expect(throws: FrameError.self) {
            try tracker.confirmed(upTo: 1, multiple: false, isNack: false, into: &settled)
        }
    }

    @Test("Stragglers are settled by a confirmation of everything up to a number, in order", arguments: [10, 0])
    func stragglersTogether(_ number: UInt64) throws {
        var tracker = Tracker()
        var settled: [Tracker.Settled] = []
        for id in 1...20 { _ = tracker.published(id) }
        for id in 21...10_000 {
            let number = tracker.published(id)
            try tracker.confirmed(upTo: number, multiple: false, isNack: false, into: &settled)
        }
        settled = []
        try tracker.confirmed(upTo: number, multiple: true, isNack: true, into: &settled)
        #expect(settled.map(\.id) == Array(1...(number == 0 ? 20 : 10)))
        #expect(tracker.abandonAll() == (number == 0 ? [] : Array(11...20)))
    }

    @Test("What is given up leaves the count; its confirmation may come, once, and tells nobody")
    func givenUp() throws {
        var tracker = Tracker()
        var settled: [Tracker.Settled] = []
        for id in 1...4 { _ = tracker.published(id) }
        tracker.giveUp { $0 <= 2 }
        #expect(tracker.outstanding == 2 && tracker.givenUp == 2)
        #expect(tracker.returned(replyCode: 312, replyText: "NO_ROUTE") { $0 == 1 } == nil)
        try tracker.confirmed(upTo: 1, multiple: false, isNack: false, into: &settled)
        #expect(settled.isEmpty)
        #expect(throws: FrameError.unknownConfirmation(1)) {
            try tracker.confirmed(upTo: 1, multiple: false, isNack: false, into: &settled)
        }
        try tracker.confirmed(upTo: 3, multiple: true, isNack: false, into: &settled)
        #expect(settled.map(\.id) == [3])
        #expect(tracker.outstanding == 1 && tracker.givenUp == 0)
    }
}
