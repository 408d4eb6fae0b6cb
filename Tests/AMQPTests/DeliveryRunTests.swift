import Testing

@testable import AMQP

extension AMQPDelivery {
    static func sample(
        _ number: UInt64,
        octets: Int,
        key: String = "q",
        isRedelivered: Bool = false
    ) -> AMQPDelivery {
        AMQPDelivery(
            tag: DeliveryTag(number: number, instance: 1),
            isRedelivered: isRedelivered,
            exchange: "",
            routingKey: key,
            properties: BasicProperties(),
            body: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: octets)
        )
    }

    /// The frames that bring it to a consumer on channel 1, with the body in pieces.
    fileprivate func frames(to consumer: String, pieces: Int = 1) throws -> [UInt8] {
        var octets: [UInt8] = []
        let deliver = Method.BasicDeliver(
            consumerTag: consumer,
            deliveryTag: tag.number,
            isRedelivered: isRedelivered,
            exchange: exchange,
            routingKey: routingKey
        )
        try FrameEncoder.method(.basicDeliver(deliver), channel: 1, into: &octets)
        octets += [2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0] + withUnsafeBytes(of: UInt64(body.count).bigEndian) { Array($0) }
        octets += [0, 0, 0xCE]
        for piece in 0..<pieces where !body.isEmpty {
            let range = body.count * piece / pieces..<body.count * (piece + 1) / pieces
            FrameEncoder.body(body[range], channel: 1, into: &octets)
        }
        return octets
    }
}

@Suite("Runs of deliveries") struct DeliveryRunTests {
    private let decoder = FrameDecoder(maximumFrameSize: 4096)

    private struct Taken: Equatable {
        var consumer: String
        var first: UInt64
        var deliveries: [AMQPDelivery]
    }

    /// Takes one run after the other, until something else comes first.
    private func runs(
        in octets: [UInt8],
        _ assembler: inout ContentAssembler,
        left: inout Int
    ) throws -> [Taken] {
        var taken: [Taken] = []
        var run = DeliveryRun()
        var offset = 0
        func note() {
            guard let consumer = run.consumerTag else { return }
            var deliveries: [AMQPDelivery] = []
            while let delivery = run.deliveries.popFirst() { deliveries.append(delivery) }
            taken.append(Taken(consumer: consumer, first: run.firstTag, deliveries: deliveries))
            run.consumerTag = nil
        }
        try octets.withUnsafeBytes { bytes in
            var start = -1
            while start < offset {
                start = offset
                do {
                    try assembler.takeDeliveries(
                        from: bytes,
                        at: &offset,
                        by: decoder,
                        channel: 1,
                        instance: 1,
                        into: &run
                    )
                    note()
                } catch {
                    note()
                    throw error
                }
            }
        }
        left = octets.count - offset
        return taken
    }

    private func runs(in octets: [UInt8]) throws -> [Taken] {
        var assembler = ContentAssembler(maximumBodySize: 1000)
        var left = 0
        return try runs(in: octets, &assembler, left: &left)
    }

    @Test("One call takes all deliveries of a consumer, whatever differs between them")
    func whole() throws {
        let deliveries = [
            AMQPDelivery.sample(7, octets: 10), .sample(8, octets: 0, key: "r"),
            .sample(9, octets: 300, isRedelivered: true), .sample(10, octets: 300),
        ]
        let octets = try deliveries.enumerated().flatMap { try $1.frames(to: "c", pieces: $0 + 1) }
        #expect(try runs(in: octets) == [Taken(consumer: "c", first: 7, deliveries: deliveries)])
    }

    @Test("However the octets are cut, the same deliveries come")
    func cuts() throws {
        let deliveries = [AMQPDelivery.sample(1, octets: 5), .sample(2, octets: 0), .sample(3, octets: 7)]
        let octets = try deliveries.flatMap { try $0.frames(to: "c", pieces: 2) }
        for cut in 0...octets.count {
            var assembler = ContentAssembler(maximumBodySize: 1000)
            var left = 0
            var taken = try runs(in: Array(octets[..<cut]), &assembler, left: &left)
            taken += try runs(in: Array(octets[(cut - left)...]), &assembler, left: &left)
            #expect(left == 0)
            #expect(taken.flatMap(\.deliveries) == deliveries)
            #expect(taken.map(\.first) == taken.map { $0.deliveries[0].tag.number })
        }
    }

    @Test("Another consumer, or a tag out of turn, begins another run")
    func boundaries() throws {
        let deliveries = [1, 2, 4, 5, 5].map { AMQPDelivery.sample($0, octets: 1) }
        let consumers = ["a", "b", "b", "b", "b"]
        let octets = try zip(deliveries, consumers).flatMap { try $0.frames(to: $1) }
        #expect(
            try runs(in: octets) == [
                Taken(consumer: "a", first: 1, deliveries: [deliveries[0]]),
                Taken(consumer: "b", first: 2, deliveries: [deliveries[1]]),
                Taken(consumer: "b", first: 4, deliveries: [deliveries[2], deliveries[3]]),
                Taken(consumer: "b", first: 5, deliveries: [deliveries[4]]),
            ]
        )
    }

    @Test("It stops before frames of other channels, other methods and heartbeats, also in the middle of a message")
    func others() throws {
        var method: [UInt8] = []
        try FrameEncoder.method(.basicCancelOk(.init(consumerTag: "c")), channel: 1, into: &method)
        var heartbeat: [UInt8] = []
        FrameEncoder.heartbeat(into: &heartbeat)
        let delivery = AMQPDelivery.sample(1, octets: 3)
        let frames = try delivery.frames(to: "c", pieces: 3)
        var elsewhere = frames
        elsewhere[2] = 2  // the channel of its method
        for other in [method, heartbeat, elsewhere] {
            var assembler = ContentAssembler(maximumBodySize: 1000)
            var left = 0
            let before = try runs(in: frames + other + frames, &assembler, left: &left)
            #expect(before.flatMap(\.deliveries) == [delivery])
            #expect(left == other.count + frames.count)
            // Two pieces of nine octets are still to come.
            #expect(try runs(in: frames.dropLast(18) + other, &assembler, left: &left) == [])
            #expect(left == other.count)
            #expect(assembler.isIdle == false)
            #expect(try runs(in: frames.suffix(18), &assembler, left: &left).flatMap(\.deliveries) == [delivery])
        }
    }

    @Test("A message that the broker returns is left to others, its content too")
    func returned() throws {
        var assembler = ContentAssembler(maximumBodySize: 1000)
        let method = Method.BasicReturn(replyCode: 312, replyText: "NO_ROUTE", exchange: "", routingKey: "q")
        try assembler.begin(.return(method))
        let octets = try AMQPDelivery.sample(1, octets: 3).frames(to: "c")
        var left = 0
        for rest in [octets, Array(octets.drop { $0 != 2 })] {
            #expect(try runs(in: rest, &assembler, left: &left) == [])
            #expect(left == rest.count)
        }
    }

    @Test("What came before an error is kept, and of a body above the limit it is known whose it is")
    func failure() throws {
        let good = try AMQPDelivery.sample(1, octets: 3).frames(to: "c")
        let large = try AMQPDelivery.sample(2, octets: 1001).frames(to: "d")
        let damaged = try AMQPDelivery.sample(2, octets: 3).frames(to: "c").dropLast() + [0]
        var run = DeliveryRun()
        var assembler = ContentAssembler(maximumBodySize: 1000)
        var offset = 0
        func take(_ octets: [UInt8]) throws {
            try octets.withUnsafeBytes {
                try assembler.takeDeliveries(
                    from: $0,
                    at: &offset,
                    by: decoder,
                    channel: 1,
                    instance: 1,
                    into: &run
                )
            }
        }
        try take(good + large)  // up to the other consumer's
        #expect(run.consumerTag == "c" && run.deliveries.count == 1)
        run = DeliveryRun()
        #expect(throws: FrameError.bodyTooLarge(octets: 1001, limit: 1000)) { try take(good + large) }
        #expect(assembler.consumerTag == "d" && run.consumerTag == nil)

        (offset, assembler) = (0, ContentAssembler(maximumBodySize: 1000))
        #expect(throws: FrameError.missingEndOctet) { try take(good + damaged) }
        #expect(run.consumerTag == "c" && run.deliveries.count == 1)
    }

    @Test("Replies without a number of their own lose the one they came with, in their order")
    func withoutNumbers() {
        var run = DeliveryRun()
        for key in ["a", "b"] { run.deliveries.append(.sample(5, octets: 1, key: key)) }
        run.removeNumbers()
        var taken: [AMQPDelivery] = []
        while let delivery = run.deliveries.popFirst() { taken.append(delivery) }
        #expect(taken.map(\.tag) == Array(repeating: DeliveryTag(number: 0, instance: 1), count: 2))
        #expect(taken.map(\.routingKey) == ["a", "b"])
        #expect(taken.map(\.body) == [[5], [5]])
    }

    @Test("A buffer keeps order and weight, whoever takes from whom")
    func buffer() {
        for kept in 0...2 {
            var (left, right) = (DeliveryBuffer(), DeliveryBuffer())
            for number in 0..<kept { left.append(.sample(UInt64(number), octets: 10)) }
            for number in kept..<4 { right.append(.sample(UInt64(number), octets: 1)) }
            left.takeAll(from: &right)
            #expect(right.isEmpty && right.octets == 0)
            #expect(left.count == 4 && left.octets == 10 * kept + 4 - kept)
            left.prepend(.sample(9, octets: 100))
            var order: [UInt64] = []
            while let delivery = left.popFirst() { order.append(delivery.tag.number) }
            #expect(order == [9, 0, 1, 2, 3] && left.octets == 0)
        }
    }
}
