import Testing

@testable import AMQP

/// The broker's book of what is on loan, strict as RabbitMQ: settling what is not outstanding closes the channel.
private struct BrokerModel {
    enum Fate: Equatable { case acknowledged, requeued, dropped }

    var outstanding: Set<UInt64> = []
    var fates: [UInt64: Fate] = [:]

    mutating func take(_ frame: AckCoalescer.Frame) {
        switch frame {
        case .ack(let tag, let multiple):
            #expect(outstanding.contains(tag))
            for tag in multiple ? outstanding.filter({ $0 <= tag }) : [tag] { settle(tag, .acknowledged) }
        case .nack(let tag, let requeue), .reject(let tag, let requeue):
            settle(tag, requeue ? .requeued : .dropped)
        }
    }

    mutating func settle(_ tag: UInt64, _ fate: Fate) {
        #expect(outstanding.remove(tag) != nil, "tag \(tag) settled while not outstanding")
        fates[tag] = fate
    }
}

@Suite("Acknowledgement coalescer") struct AckCoalescerTests {
    @Test(
        "Whatever the order, each delivery meets the fate asked for, and no other does",
        arguments: 0..<300,
        [4, 1024]
    )
    func property(_ seed: UInt64, _ fewSlots: Int) throws {
        var generator = SeededGenerator(state: seed)
        var coalescer = AckCoalescer(fewSlots: fewSlots)
        var broker = BrokerModel()
        var wanted: [UInt64: BrokerModel.Fate] = [:]
        var unsettled: [UInt64] = []
        var lastTag: UInt64 = 0
        for _ in 0..<400 {
            switch Int.random(in: 0..<6, using: &generator) {
            case 0...2:
                let (first, count) = (lastTag + 1, Int.random(in: 1...3, using: &generator))
                lastTag += UInt64(count)
                let needsAcknowledgement = Int.random(in: 0..<8, using: &generator) > 0
                try coalescer.delivered(from: first, count: count, needsAcknowledgement: needsAcknowledgement)
                if needsAcknowledgement {
                    broker.outstanding.formUnion(first...lastTag)
                    unsettled += first...lastTag
                }
            case 3, 4:
                guard !unsettled.isEmpty else { continue }
                // Now and then one stays for long.
                let near = Int.random(in: 0..<min(4, unsettled.count), using: &generator)
                let tag = unsettled.remove(at: near)
                switch Int.random(in: 0..<6, using: &generator) {
                case 0:
                    #expect(coalescer.settle(tag, as: .nack(requeue: true)) == true)
                    wanted[tag] = .requeued
                case 1:
                    #expect(coalescer.settle(tag, as: .reject(requeue: false)) == true)
                    wanted[tag] = .dropped
                default:
                    #expect(coalescer.settle(tag, as: .acknowledge) == true)
                    wanted[tag] = .acknowledged
                }
                #expect(coalescer.settle(tag, as: .acknowledge) == false, "a second settlement must be refused")
            default:
                var frames: [AckCoalescer.Frame] = []
                coalescer.flush(into: &frames)
                for frame in frames { broker.take(frame) }
                #expect(broker.fates == wanted)
                #expect(coalescer.outstanding == broker.outstanding.count)
            }
        }
    }

    private func frames(delivered: UInt64, acknowledged: [UInt64]) throws -> [AckCoalescer.Frame] {
        var coalescer = AckCoalescer()
        for tag in 1...delivered { try coalescer.delivered(tag, needsAcknowledgement: true) }
        for tag in acknowledged { #expect(coalescer.settle(tag, as: .acknowledge) == true) }
        var frames: [AckCoalescer.Frame] = []
        coalescer.flush(into: &frames)
        return frames
    }

    @Test("A contiguous prefix leaves as one frame")
    func prefix() throws {
        #expect(try frames(delivered: 5, acknowledged: [3, 1, 2]) == [.ack(3, multiple: true)])
        #expect(try frames(delivered: 5, acknowledged: [1]) == [.ack(1, multiple: false)])
    }

    @Test("What lies past a gap leaves one by one")
    func gap() throws {
        #expect(
            try frames(delivered: 6, acknowledged: [2, 1, 6, 4])
                == [.ack(2, multiple: true), .ack(6, multiple: false), .ack(4, multiple: false)]
        )
    }

    @Test("A delivery that is kept for long keeps no later one in memory, and is not settled along with them")
    func straggler() throws {
        var acks = AckCoalescer()
        try acks.delivered(1, needsAcknowledgement: true)
        var largest = 0
        for tag in 2...100_000 as ClosedRange<UInt64> {
            try acks.delivered(tag, needsAcknowledgement: true)
            let isNews = acks.settle(tag, as: .acknowledge)
            var frames: [AckCoalescer.Frame] = []
            acks.flush(into: &frames)
            #expect(isNews && frames == [.ack(tag, multiple: false)])
            largest = max(largest, acks.slotCount)
        }
        #expect(largest < 2000)
        #expect(acks.outstanding == 1)
        for tag in 100_001...100_003 as ClosedRange<UInt64> {
            try acks.delivered(tag, needsAcknowledgement: true)
            _ = acks.settle(tag, as: .acknowledge)
        }
        let isNews = acks.settle(1, as: .acknowledge)
        let isNewsAgain = acks.settle(1, as: .acknowledge)
        #expect(isNews && !isNewsAgain)
        var frames: [AckCoalescer.Frame] = []
        acks.flush(into: &frames)
        #expect(frames == [.ack(1, multiple: false), .ack(100_003, multiple: true)])
    }

    @Test("Tags never delivered are refused", arguments: [0, 4, UInt64.max])
    func unknown(_ tag: UInt64) throws {
        var coalescer = AckCoalescer()
        for tag in 1...3 as ClosedRange<UInt64> { try coalescer.delivered(tag, needsAcknowledgement: true) }
        #expect(coalescer.settle(tag, as: .acknowledge) == false)
    }

    @Test("A delivery tag out of line is the server's fault")
    func outOfLine() throws {
        var coalescer = AckCoalescer()
        try coalescer.delivered(1, needsAcknowledgement: true)
        #expect(throws: FrameError.self) { try coalescer.delivered(3, needsAcknowledgement: true) }
    }

    @Test("Without coalescing, each acknowledgement has a frame of its own")
    func apart() throws {
        var acks = AckCoalescer()
        acks.isCoalescing = false
        for tag in 1...4 as ClosedRange<UInt64> { try acks.delivered(tag, needsAcknowledgement: true) }
        for tag in [1, 2, 4] as [UInt64] { _ = acks.settle(tag, as: .acknowledge) }
        var frames: [AckCoalescer.Frame] = []
        acks.flush(into: &frames)
        #expect(frames == [1, 2, 4].map { .ack($0, multiple: false) })
        #expect(acks.outstanding == 1)
    }

    @Test("What is forgotten cannot be settled, and the next tags are as good as ever")
    func forgotten() throws {
        var acks = AckCoalescer()
        for tag in 1...3 as ClosedRange<UInt64> { try acks.delivered(tag, needsAcknowledgement: true) }
        _ = acks.settle(2, as: .acknowledge)
        acks.forgetAll()
        var frames: [AckCoalescer.Frame] = []
        acks.flush(into: &frames)
        #expect(frames.isEmpty && acks.outstanding == 0)
        let isStale = !acks.settle(1, as: .acknowledge)
        #expect(isStale)
        try acks.delivered(4, needsAcknowledgement: true)
        _ = acks.settle(4, as: .acknowledge)
        acks.flush(into: &frames)
        #expect(frames == [.ack(4, multiple: false)])
    }
}
