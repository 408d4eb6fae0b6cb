import Glibc
import Synchronization
import Testing

@testable import Transport

/// Collects what a stream reports and lets a test wait for it.
final class Recorder: ByteStreamHandler {
    struct Seen {
        var bytes: [UInt8] = []
        var writability: [Bool] = []
        var end: TransportError?
    }

    private let seen = Mutex(Seen())
    private let waiters = Mutex<[(@Sendable (Seen) -> Bool, CheckedContinuation<Seen, Never>)]>([])
    private let take: @Sendable (UnsafeRawBufferPointer) -> Int

    init(take: @escaping @Sendable (UnsafeRawBufferPointer) -> Int = { $0.count }) { self.take = take }

    func received(_ bytes: UnsafeRawBufferPointer) -> Int {
        let count = take(bytes)
        change { $0.bytes += bytes.prefix(count) }
        return count
    }

    func writabilityChanged(_ isWritable: Bool) { change { $0.writability.append(isWritable) } }
    func closed(_ reason: TransportError) { change { $0.end = reason } }

    var now: Seen { seen.withLock { $0 } }

    func wait(until condition: @escaping @Sendable (Seen) -> Bool) async -> Seen {
        await withCheckedContinuation { continuation in
            waiters.withLock { $0.append((condition, continuation)) }
            change { _ in }
        }
    }

    private func change(_ body: (inout sending Seen) -> Void) {
        let now = seen.withLock { seen in
            body(&seen)
            return seen
        }
        let due = waiters.withLock { waiters in
            let due = waiters.filter { $0.0(now) }
            waiters.removeAll { $0.0(now) }
            return due
        }
        for (_, continuation) in due { continuation.resume(returning: now) }
    }
}

extension ByteStream {
    /// Runs on the stream's loop and waits for it.
    func onLoop<R: Sendable>(_ body: @escaping @Sendable (ByteStream) -> R) async -> R {
        await withCheckedContinuation { continuation in
            loop.execute { continuation.resume(returning: body(self)) }
        }
    }
}

@Suite("Byte stream", .timeLimit(.minutes(1))) struct ByteStreamTests {
    private func echo(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return }
            _ = write(descriptor, buffer, count)
        }
    }

    @Test("Gathers a flow of small pieces and still hands over its end", arguments: LoopbackServer.Kind.allCases)
    func gathers(_ kind: LoopbackServer.Kind) async throws {
        let server = try LoopbackServer(kind) { descriptor in
            var order: UInt8 = 0
            // A burst for each order: the next one comes when all of the last has arrived, so no end may be kept back.
            while read(descriptor, &order, 1) == 1 {
                let piece = [UInt8](repeating: order, count: 500)
                for _ in 0..<4000 { _ = write(descriptor, piece, piece.count) }
                _ = write(descriptor, piece, 7)
            }
        }
        let endpoint = kind == .tcp ? Endpoint.tcp(host: "127.0.0.1", port: server.port) : .unix(path: server.path)
        let stream = try await ByteStream.connect(to: endpoint, timeout: .seconds(5))
        let count = Mutex(0)
        let recorder = Recorder { bytes in
            count.withLock { $0 += bytes.count }
            return bytes.count
        }
        await stream.onLoop { stream in
            stream.gatherInput()
            stream.start(recorder)
        }
        for burst in 1...5 {
            await stream.onLoop { $0.write([UInt8(burst)]) }
            let seen = await recorder.wait { $0.bytes.count >= burst * (4000 * 500 + 7) }
            #expect(seen.bytes.count == burst * (4000 * 500 + 7))
            #expect(seen.bytes.last == UInt8(burst))
        }
        await stream.onLoop { $0.abort(TransportError(.closed, "enough")) }
        #expect(count.withLock { $0 } == 5 * (4000 * 500 + 7))
    }

    @Test("A gathering stream that pauses leaves the loop to others, and goes on when it is wanted")
    func pausesWhileGathering() async throws {
        let server = try LoopbackServer { descriptor in
            let piece = [UInt8](repeating: 1, count: 500)
            while send(descriptor, piece, piece.count, Int32(MSG_NOSIGNAL)) > 0 {}
        }
        let loop = EventLoop(name: "test-loop")
        let endpoint = Endpoint.tcp(host: "127.0.0.1", port: server.port)
        let stream = try await ByteStream.connect(to: endpoint, on: loop, timeout: .seconds(5))
        let current = Mutex<ByteStream?>(stream)
        let pauses = Mutex(0)
        let recorder = Recorder { bytes in
            guard let stream = current.withLock({ $0 }) else { return bytes.count }
            if (stream.pacing?.pacer.threshold ?? 1) > 1, !stream.isPaused {
                stream.setReading(false)
                pauses.withLock { $0 += 1 }
            }
            return bytes.count
        }
        await stream.onLoop { stream in
            stream.gatherInput()
            stream.start(recorder)
        }
        for round in 1...3 {
            while pauses.withLock({ $0 }) < round { await stream.onLoop { _ in } }
            // The pacing timer has come and gone when this one fires.
            await withCheckedContinuation { continuation in
                loop.execute {
                    _ = loop.schedule(after: InputPacer.patience * 4) { continuation.resume() }
                }
            }
            #expect(await stream.onLoop { $0.pacing?.timer } == nil)
            await stream.onLoop { $0.setReading(true) }
        }
        current.withLock { $0 = nil }
        await stream.onLoop { $0.abort(TransportError(.closed, "enough")) }
    }

    @Test("Carries octets both ways, over TCP and socket files", arguments: LoopbackServer.Kind.allCases)
    func echoes(_ kind: LoopbackServer.Kind) async throws {
        let server = try LoopbackServer(kind, serve: echo)
        let endpoint = kind == .tcp ? Endpoint.tcp(host: "127.0.0.1", port: server.port) : .unix(path: server.path)
        let stream = try await ByteStream.connect(to: endpoint, timeout: .seconds(5))
        let recorder = Recorder()
        await stream.onLoop { stream in
            stream.start(recorder)
            stream.write { $0 += Array("hello ".utf8) }
            stream.write(Array("world".utf8))
        }
        let seen = await recorder.wait { $0.bytes.count == 11 }
        #expect(String(decoding: seen.bytes, as: UTF8.self) == "hello world")
        await stream.onLoop { $0.close(grace: .seconds(5)) }
        #expect(await recorder.wait { $0.end != nil }.end?.code == .closed)
        _ = server
    }

    @Test("Offers again what was not taken, however little is taken at a time")
    func partialTakes() async throws {
        let server = try LoopbackServer(serve: echo)
        let stream = try await ByteStream.connect(to: .tcp(host: "localhost", port: server.port), timeout: .seconds(5))
        let recorder = Recorder { min($0.count, 7) }
        let sent = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        await stream.onLoop { stream in
            stream.start(recorder)
            stream.write(sent)
        }
        // One offer for each arrival: the rest is asked for by pausing and going on, as a busy owner would.
        while await recorder.wait(until: { _ in true }).bytes.count < sent.count {
            await stream.onLoop { $0.setReading(true) }
        }
        #expect(await recorder.wait { _ in true }.bytes == sent)
        await stream.onLoop { $0.abort(TransportError(.closed, "done")) }
        _ = server
    }

    @Test("Reports back-pressure and drains everything before an orderly close")
    func backPressure() async throws {
        let gate = Gate()
        let total = Mutex((count: 0, sum: 0))
        let server = try LoopbackServer { descriptor in
            gate.wait()
            let result = readAll(descriptor)
            total.withLock { $0 = result }
        }
        let stream = try await ByteStream.connect(to: .tcp(host: "127.0.0.1", port: server.port), timeout: .seconds(5))
        let recorder = Recorder()
        let chunk = [UInt8](repeating: 3, count: 100_000)
        let isWritable = await stream.onLoop { stream in
            stream.start(recorder)
            for _ in 0..<200 { stream.write(chunk) }
            return stream.isWritable
        }
        #expect(!isWritable)
        gate.open()
        let seen = await recorder.wait { $0.writability == [false, true] }
        #expect(seen.end == nil)
        await stream.onLoop { $0.close(grace: .seconds(10)) }
        #expect(await recorder.wait { $0.end != nil }.end?.code == .closed)
        #expect(total.withLock { $0.count } == 20_000_000)
        #expect(total.withLock { $0.sum } == 60_000_000)
        _ = server
    }

    @Test("Stops reading while paused and loses nothing")
    func pausedReading() async throws {
        let server = try LoopbackServer { descriptor in
            let bytes = [UInt8](repeating: 1, count: 3_000_000)
            var sent = 0
            while sent < bytes.count {
                let count = bytes[sent...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
                guard count > 0 else { return }
                sent += count
            }
        }
        let stream = try await ByteStream.connect(to: .tcp(host: "127.0.0.1", port: server.port), timeout: .seconds(5))
        let recorder = Recorder()
        await stream.onLoop { stream in
            stream.start(recorder)
            stream.setReading(false)
        }
        await stream.onLoop { $0.setReading(true) }
        let seen = await recorder.wait { $0.end != nil }
        #expect(seen.bytes.count == 3_000_000)
        #expect(seen.end?.code == .closedByPeer)
        _ = server
    }

    @Test("An owner that takes nothing ends the stream at the input limit")
    func overflow() async throws {
        let server = try LoopbackServer { descriptor in
            let bytes = [UInt8](repeating: 1, count: 1 << 20)
            _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            _ = readAll(descriptor)
        }
        var limits = ByteStream.Limits()
        limits.input = 1 << 18
        let stream = try await ByteStream.connect(
            to: .tcp(host: "127.0.0.1", port: server.port),
            timeout: .seconds(5),
            limits: limits
        )
        let recorder = Recorder { _ in 0 }
        await stream.onLoop { $0.start(recorder) }
        #expect(await recorder.wait { $0.end != nil }.end?.code == .overflow)
        _ = server
    }

    @Test("Nobody listening is a refusal, a missing socket file unreachable, an unknown host unresolvable")
    func connectFailures() async throws {
        let unused: Int
        do { unused = try LoopbackServer { _ in }.port }
        let cases: [(Endpoint, TransportError.Code)] = [
            (.tcp(host: "127.0.0.1", port: unused), .refused),
            (.unix(path: "/nonexistent/celeriac.sock"), .unreachable),
            (.unix(path: String(repeating: "x", count: 200)), .unreachable),
            (.tcp(host: "no-such-host.invalid", port: 1), .unresolvable),
        ]
        for (endpoint, code) in cases {
            let error = await #expect(throws: TransportError.self) {
                _ = try await ByteStream.connect(to: endpoint, timeout: .seconds(10))
            }
            #expect(error?.code == code, "\(endpoint)")
        }
    }

    @Test("A cancelled connect ends with its own error")
    func cancelledConnect() async throws {
        let task = Task { try await ByteStream.connect(to: .tcp(host: "127.0.0.1", port: 1), timeout: .seconds(60)) }
        task.cancel()
        let error = await #expect(throws: TransportError.self) { _ = try await task.value }
        #expect(error?.code == .cancelled || error?.code == .refused)
    }
}

/// Lets threads through once opened.
final class Gate: Sendable {
    private let descriptors = Mutex<(Int32, Int32)>((0, 0))

    init() {
        var pair: [Int32] = [0, 0]
        pipe(&pair)
        descriptors.withLock { $0 = (pair[0], pair[1]) }
    }

    func open() { close(descriptors.withLock { $0.1 }) }

    func wait() {
        var octet: UInt8 = 0
        _ = read(descriptors.withLock { $0.0 }, &octet, 1)
    }
}
