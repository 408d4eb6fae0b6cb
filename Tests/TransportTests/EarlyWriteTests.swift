import Glibc
import Testing

@testable import Transport

@Suite("Many small writes of one turn", .timeLimit(.minutes(1))) struct EarlyWriteTests {
    /// A stream on one end of a pair of sockets, and the descriptor of the other.
    private func pair() throws -> (stream: ByteStream, peer: Int32) {
        var ends: [Int32] = [0, 0]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        try #require(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
        return (ByteStream(descriptor: ends[0], peer: "the peer", on: EventLoop(name: "test-loop")), ends[1])
    }

    private func piece(_ number: Int) -> [UInt8] {
        (0..<50).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0) }
    }

    private func expectPieces(_ count: Int, at peer: Int32) {
        var received = [UInt8](repeating: 0, count: 50 * count)
        #expect(recv(peer, &received, received.count, Int32(MSG_WAITALL)) == received.count)
        #expect(received == (0..<count).flatMap(piece))
    }

    @Test("A full chunk leaves before the end of the turn, and what is short of one at its end")
    func fullChunk() async throws {
        let (stream, peer) = try pair()
        let recorder = Recorder()
        let pending = await stream.onLoop { stream in
            stream.start(recorder)
            return (0..<2000).map { number in
                stream.write { $0 += piece(number) }
                return stream.pendingOutput
            }
        }
        // 1,311 pieces of 50 octets are the first to have 64 KiB.
        #expect(Array(pending[..<1310]) == (1...1310).map { $0 * 50 })
        #expect(pending[1310] == 0)
        #expect(pending.last == 689 * 50)
        expectPieces(2000, at: peer)
        await stream.onLoop { $0.abort(TransportError(.closed, "done")) }
        close(peer)
    }

    @Test("What the kernel does not take waits, in order, and is back-pressure when it is much")
    func fullKernel() async throws {
        let (stream, peer) = try pair()
        let recorder = Recorder()
        let isWritable = await stream.onLoop { stream in
            stream.start(recorder)
            for number in 0..<60_000 { stream.write { $0 += piece(number) } }
            return stream.isWritable
        }
        #expect(!isWritable)
        expectPieces(60_000, at: peer)
        #expect(await recorder.wait { $0.writability.count == 2 }.writability == [false, true])
        await stream.onLoop { $0.abort(TransportError(.closed, "done")) }
        close(peer)
    }

    @Test("An owner that writes to a peer that is gone is told after it has written")
    func peerGone() async throws {
        let (stream, peer) = try pair()
        let recorder = Recorder()
        let ends = await stream.onLoop { stream in
            stream.start(recorder)
            close(peer)
            return (0..<4000).filter { number in
                stream.write { $0 += piece(number) }
                return recorder.now.end != nil
            }
        }
        #expect(ends.isEmpty)
        #expect(await recorder.wait { $0.end != nil }.end?.code == .closedByPeer)
    }
}
