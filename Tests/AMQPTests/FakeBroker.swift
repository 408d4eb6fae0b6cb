import Dispatch
import Glibc
import Synchronization

@testable import AMQP

/// A server of one connection that follows a script, to do what a real broker does only in distress.
final class FakeBroker: Sendable {
    /// One accepted connection, read and written with blocking calls on a thread of its own.
    final class Peer {
        let descriptor: Int32
        private var buffer: [UInt8] = []
        /// Octets of the buffer that have been used.
        private var used = 0
        private let decoder = FrameDecoder(maximumFrameSize: 131_072)

        init(_ descriptor: Int32) {
            self.descriptor = descriptor
        }

        func send(_ bytes: [UInt8]) {
            var offset = 0
            while offset < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Glibc.send(
                        descriptor,
                        $0.baseAddress.map { $0 + offset },
                        bytes.count - offset,
                        Int32(MSG_NOSIGNAL)
                    )
                }
                if count <= 0 { return }
                offset += count
            }
        }

        func send(_ method: AMQP.Method, on channel: UInt16 = 0) {
            var bytes: [UInt8] = []
            // What a script sends is short enough to be encoded.
            try? FrameEncoder.method(method, channel: channel, into: &bytes)
            send(bytes)
        }

        /// Reads more octets; false at the end of the stream.
        func read() -> Bool {
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count > 0 {
                buffer.removeFirst(used)
                used = 0
                buffer += chunk[..<count]
            }
            return count > 0
        }

        func readProtocolHeader() {
            while buffer.count < 8, read() {}
            used = min(8, buffer.count)
        }

        /// Uses the next frame of the buffer, if there is a whole one.
        private func takeFrame(_ body: (FrameView) -> Void) -> Bool {
            let octets = buffer.withUnsafeBytes { raw -> Int in
                guard let frame = try? decoder.next(in: UnsafeRawBufferPointer(rebasing: raw[used...])) else {
                    return 0
                }
                body(frame)
                return frame.payload.count + FrameDecoder.overhead
            }
            used += octets
            return octets > 0
        }

        /// The next method of the client; other frames are passed over.
        ///
        /// `nil` at the end of the stream.
        func nextMethod() -> (channel: UInt16, method: AMQP.Method)? {
            while true {
                var result: (UInt16, AMQP.Method)?
                let isTaken = takeFrame { frame in
                    if frame.type == .method, let method = try? AMQP.Method(decoding: frame.payload) {
                        result = (frame.channel, method)
                    }
                }
                if let result { return result }
                if !isTaken, !read() { return nil }
            }
        }

        /// Sends heartbeats from another thread while a closure runs, however long the client is kept busy.
        func beating(_ body: () -> Void) {
            final class Flag: Sendable { let isOver = Mutex(false) }
            let (flag, ended, descriptor) = (Flag(), DispatchSemaphore(value: 0), descriptor)
            DispatchQueue(label: "heart of a fake broker").async {
                let heartbeat: [UInt8] = [8, 0, 0, 0, 0, 0, 0, 0xCE]
                while !flag.isOver.withLock({ $0 }) {
                    _ = Glibc.send(descriptor, heartbeat, heartbeat.count, Int32(MSG_NOSIGNAL))
                    usleep(200_000)
                }
                ended.signal()
            }
            body()
            flag.isOver.withLock { $0 = true }
            ended.wait()
        }

        /// Waits for a heartbeat of the client; other frames are passed over.
        func expectHeartbeat() {
            while true {
                var isHeartbeat = false
                let isTaken = takeFrame { isHeartbeat = $0.type == .heartbeat }
                if isHeartbeat || (!isTaken && !read()) { return }
            }
        }

        /// Waits for a method, passing over others.
        func expect(_ name: String) {
            while let (_, method) = nextMethod(), method.name != name {}
        }

        func handshake(heartbeat: UInt16 = 0) {
            readProtocolHeader()
            send(
                .connectionStart(
                    .init(
                        versionMajor: 0,
                        versionMinor: 9,
                        serverProperties: [:],
                        mechanisms: "PLAIN",
                        locales: "en_US"
                    )
                )
            )
            expect("connection.start-ok")
            send(.connectionTune(.init(channelMax: 10, frameMax: 4096, heartbeat: heartbeat)))
            expect("connection.open")
            send(.connectionOpenOk)
        }

        func openChannel() {
            expect("channel.open")
            send(.channelOpenOk, on: 1)
        }

        /// Answers the client's goodbye.
        func goodbye() {
            expect("connection.close")
            send(.connectionCloseOk)
        }

        /// Reads on until the client goes away.
        func drain() {
            while read() {}
        }
    }

    /// Closed once nobody can call on it any more: its number may be another socket's at once.
    private final class Listener: Sendable {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)

        deinit { Glibc.close(descriptor) }
    }

    let port: Int
    private let listener: Listener

    convenience init(_ script: @escaping @Sendable (Peer) -> Void) {
        self.init(inTurn: [script])
    }

    /// A server of one connection after the other, each with a script of its own.
    init(inTurn scripts: [@Sendable (Peer) -> Void]) {
        let listener = Listener()
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                precondition(bind(listener.descriptor, $0, size) == 0 && listen(listener.descriptor, 4) == 0)
                getsockname(listener.descriptor, $0, &size)
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        DispatchQueue(label: "fake broker").async {
            for script in scripts {
                let descriptor = accept(listener.descriptor, nil, nil)
                guard descriptor >= 0 else { return }
                script(Peer(descriptor))
                Glibc.close(descriptor)
            }
        }
    }

    deinit {
        shutdown(listener.descriptor, Int32(SHUT_RDWR))
    }

    var uri: AMQPURI {
        var uri = AMQPURI()
        uri.host = "127.0.0.1"
        uri.port = port
        uri.password = "canary"
        return uri
    }
}
