import FaultProxySupport
import Glibc
import ProcessSupport
import Testing

// One at a time: the ends of the conversations block, and must not take the whole pool.
@Suite("Fault proxy", .serialized, .timeLimit(.minutes(1))) struct FaultProxyTests {
    /// A client and a server with a proxy between them.
    private struct World {
        let listener: Listener
        let proxy: FaultProxy
        let client: Peer
        let server: Peer

        init(seed: UInt64 = 1, recordingLimit: Int = 0, _ prepare: (FaultProxy) -> Void = { _ in }) throws {
            listener = try Listener()
            proxy = try FaultProxy(upstream: listener.port, seed: seed, recordingLimit: recordingLimit)
            prepare(proxy)
            client = try Peer.connect(to: proxy.port)
            server = listener.accept()
        }
    }

    /// 100 frames, of which every tenth is an acknowledgement.
    private let conversation = protocolHeader + (1...100).flatMap { frame($0 % 10 == 0 ? .basicAck : .basicPublish) }

    @Test("Passes both directions and their ends")
    func passes() throws {
        let world = try World(recordingLimit: 1 << 20)
        defer { world.proxy.stop() }
        world.client.send(conversation)
        #expect(world.server.receive(conversation.count) == conversation)
        world.server.send([101, 102, 103])
        #expect(world.client.receive(3) == [101, 102, 103])
        world.client.finish()
        #expect(world.server.receiveAll() == ([], .finished))
        // The other direction is still open.
        world.server.send([4])
        world.server.finish()
        #expect(world.client.receiveAll() == ([4], .finished))
        #expect(world.proxy.recordings.map(\.toServer) == [conversation])
        #expect(world.proxy.recordings.map(\.fromServer) == [[101, 102, 103, 4]])
        #expect(world.proxy.linkCount == 1)
    }

    @Test("Carries more than its buffers hold")
    func volume() throws {
        let world = try World()
        defer { world.proxy.stop() }
        let octets = (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let client = world.client
        let thread = BlockingThread { client.send(octets) }
        #expect(world.server.receive(octets.count) == octets)
        thread.join()
    }

    @Test("Cuts by command", arguments: [Fault.Cut.reset, .finish])
    func cut(_ cut: Fault.Cut) throws {
        let world = try World()
        defer { world.proxy.stop() }
        world.client.send(protocolHeader)
        #expect(world.server.receive(8) == protocolHeader)
        world.proxy.apply(.cut(cut))
        #expect(world.server.receiveAll().end == (cut == .reset ? .reset : .finished))
        #expect(world.client.receiveAll().end == (cut == .reset ? .reset : .finished))
        #expect(world.proxy.occurrences.map(\.octets) == [[8, 0]])
        #expect(world.proxy.openLinks.isEmpty)
    }

    @Test("Passes on a reset")
    func reset() throws {
        let world = try World()
        defer { world.proxy.stop() }
        world.server.send([101])
        #expect(world.client.receive(1) == [101])
        world.server.reset()
        shutdown(world.server.descriptor, Int32(SHUT_RDWR))
        #expect(world.client.receiveAll().octets == [])
    }

    @Test(
        "Cuts before, within and after the frame of a method, however the octets arrive",
        arguments: [FaultPoint.Edge.before, .within, .after],
        [1, 5, 11, 4096]
    )
    func edges(_ edge: FaultPoint.Edge, _ piece: Int) throws {
        let world = try World { proxy in
            proxy.arm(.cut(.finish), at: .method(.basicAck, .toServer, edge, occurrence: 3))
        }
        defer { world.proxy.stop() }
        for start in stride(from: 0, to: conversation.count, by: piece) {
            world.client.send(Array(conversation[start..<min(start + piece, conversation.count)]))
        }
        let octets =
            switch edge {
            case .before: 29 * 17
            case .within: 29 * 17 + 8
            case .after: 30 * 17
            }
        let received = world.server.receiveAll()
        #expect(received.octets == Array(conversation[..<(8 + octets)]))
        #expect(world.proxy.occurrences.first?.octets == [8 + octets, 0])
    }

    @Test(
        "Cuts after octets and after frames",
        arguments: [FaultPoint.octets(500, .fromServer), .frames(20, .fromServer)]
    )
    func counts(_ point: FaultPoint) throws {
        let world = try World { $0.arm(.cut(.finish), at: point) }
        defer { world.proxy.stop() }
        world.server.send(Array(conversation.dropFirst(8)))
        let expected = point == .octets(500, .fromServer) ? 500 : 20 * 17
        #expect(world.client.receiveAll().octets == Array(conversation.dropFirst(8).prefix(expected)))
    }

    @Test("Swallows one direction from a point on, and lets the other pass")
    func blackhole() throws {
        let world = try World()
        defer { world.proxy.stop() }
        let arming = world.proxy.arm(.blackhole, to: [.toServer], at: .method(.basicAck, .toServer, .after))
        #expect(world.proxy.isArmed(arming))
        world.client.send(conversation)
        #expect(world.server.receive(8 + 10 * 17) == Array(conversation.prefix(8 + 10 * 17)))
        world.server.send([101, 102])
        #expect(world.client.receive(2) == [101, 102])
        #expect(!world.proxy.isArmed(arming))
        // Not even the end of the stream gets through.
        world.client.finish()
        world.server.send([3])
        #expect(world.client.receive(1) == [3])
        #expect(world.server.available == 0)
        world.proxy.apply(.cut(.finish))
        #expect(world.server.receiveAll() == ([], .finished))
    }

    @Test("Goes on where it stopped reading, without a loss")
    func stopReading() throws {
        let world = try World()
        defer { world.proxy.stop() }
        world.client.send(protocolHeader)
        #expect(world.server.receive(8) == protocolHeader)
        world.proxy.apply(.stopReading, to: [.toServer])
        // Bounded by the windows of TCP: nobody takes what is sent.
        let sent = world.client.fill()
        #expect(sent < 64 << 20)
        #expect(world.server.available == 0)
        world.proxy.apply(.pass)
        #expect(world.server.receive(sent).count == sent)
    }

    @Test("Dribbles and delays what it passes")
    func slow() throws {
        let world = try World { proxy in
            proxy.greetNewLinks(with: .dribble(octets: 100))
            proxy.arm(.delay(.milliseconds(1), octets: 50), to: [.toServer], at: .octets(200, .toServer))
        }
        defer { world.proxy.stop() }
        world.client.send(conversation)
        #expect(world.server.receive(conversation.count) == conversation)
        #expect(world.proxy.occurrences.count == 1)
    }

    @Test("Corrupts the same octets for the same seed, and still sees the frames as they were")
    func corrupt() throws {
        var results: [[UInt8]] = []
        for seed in [5, 5, 6] as [UInt64] {
            let world = try World(seed: seed) { proxy in
                proxy.arm(.corrupt(octets: 3, amongNext: 40), to: [.toServer], at: .octets(8, .toServer))
                proxy.arm(.cut(.finish), at: .frames(100, .toServer))
            }
            defer { world.proxy.stop() }
            world.client.send(conversation)
            results.append(world.server.receiveAll().octets)
        }
        #expect(results[0] == results[1])
        #expect(results[0] != results[2])
        let changed = zip(results[0], conversation).enumerated().filter { $1.0 != $1.1 }.map(\.offset)
        #expect(results[0].count == conversation.count)
        #expect(changed.count == 3)
        #expect(changed.allSatisfy { (8..<48).contains($0) })
    }

    @Test("Refuses, resets and ignores clients, and takes them again")
    func arrivals() throws {
        let listener = try Listener()
        let proxy = try FaultProxy(upstream: listener.port)
        defer { proxy.stop() }
        let early = try Peer.connect(to: proxy.port)
        let earlyServer = listener.accept()
        proxy.setArrivals(.refuse)
        #expect(throws: Peer.Refused(reason: ECONNREFUSED)) { try Peer.connect(to: proxy.port) }
        proxy.setArrivals(.reset)
        #expect(try Peer.connect(to: proxy.port).receiveAll() == ([], .reset))
        #expect(proxy.rejectedCount == 1)
        proxy.setArrivals(.ignore)
        let patient = try Peer.connect(to: proxy.port)
        patient.send([1])
        #expect(patient.available == 0)
        proxy.heal()
        #expect(listener.accept().receive(1) == [1])
        early.send([2])
        #expect(earlyServer.receive(1) == [2])
    }

    @Test("A client of a server that is not there is reset")
    func noServer() throws {
        let port = try Listener().port
        let proxy = try FaultProxy(upstream: port)
        defer { proxy.stop() }
        #expect(try Peer.connect(to: proxy.port).receiveAll() == ([], .reset))
    }

    @Test("Counts points over all links, and hits the one that gets there")
    func links() throws {
        let world = try World { $0.arm(.cut(.finish), at: .method(.basicAck, .toServer, .after, occurrence: 2)) }
        defer { world.proxy.stop() }
        world.client.send(protocolHeader + frame(.basicAck))
        _ = world.server.receive(8 + 17)
        let second = try Peer.connect(to: world.proxy.port)
        let secondServer = world.listener.accept()
        second.send(protocolHeader + frame(.basicAck) + frame(.basicAck))
        #expect(secondServer.receiveAll().octets.count == 8 + 17)
        #expect(world.proxy.openLinks == [1])
    }

    @Test("Lets other protocols pass")
    func otherProtocols() throws {
        let world = try World { $0.arm(.cut(.finish), at: .octets(20, .toServer)) }
        defer { world.proxy.stop() }
        world.server.send(Array("+PONG\r\n".utf8))
        #expect(world.client.receive(7) == Array("+PONG\r\n".utf8))
        world.client.send(Array("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n".utf8))
        #expect(world.server.receiveAll().octets.count == 20)
    }
}
