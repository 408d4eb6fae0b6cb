import FaultProxySupport
import Synchronization
import Testing

@testable import AMQP
@testable import Transport

/// What passes between the library and the broker, for clauses about just that.
enum Wire {
    /// Leads to a broker by way of a proxy that records, and goes wrong when told to.
    static func withProxy(to uri: AMQPURI, _ body: (FaultProxy, AMQPURI) async throws -> Void) async throws {
        let proxy = try FaultProxy(upstream: UInt16(uri.port), recordingLimit: 1 << 20)
        defer { proxy.stop() }
        var uri = uri
        uri.port = Int(proxy.port)
        try await body(proxy, uri)
    }

    /// The frames of one direction of a conversation, without the protocol header that a client begins with.
    static func frames(_ octets: [UInt8]) throws -> [(type: FrameType, method: AMQP.Method?)] {
        let start = octets.starts(with: Array("AMQP".utf8)) ? 8 : 0
        let decoder = FrameDecoder(maximumFrameSize: 131_072)
        return try octets.withUnsafeBytes { octets in
            var frames: [(type: FrameType, method: AMQP.Method?)] = []
            var offset = start
            while let frame = try decoder.next(in: UnsafeRawBufferPointer(rebasing: octets[offset...])) {
                offset += frame.payload.count + FrameDecoder.overhead
                let method = frame.type == .method ? try AMQP.Method(decoding: frame.payload) : nil
                frames.append((frame.type, method))
            }
            return frames
        }
    }

    static func methods(_ octets: [UInt8]) throws -> [AMQP.Method] { try frames(octets).compactMap(\.method) }

    /// The records of one direction of a TLS conversation: type, and octets without their head.
    static func records(_ octets: [UInt8]) -> [(type: UInt8, size: Int)] {
        var records: [(type: UInt8, size: Int)] = []
        var offset = 0
        while offset + 5 <= octets.count {
            let size = Int(octets[offset + 3]) << 8 | Int(octets[offset + 4])
            records.append((octets[offset], size))
            offset += 5 + size
        }
        return records
    }

    /// What a broker says to the first octets of a client.
    static func answer(of uri: AMQPURI, to octets: [UInt8]) async throws -> [UInt8] {
        let stream = try await ByteStream.connect(to: uri.endpoint, timeout: .seconds(10))
        let listener = Listener()
        stream.loop.execute {
            stream.start(listener)
            stream.write(octets)
        }
        // RabbitMQ hangs up after it.
        for await _ in listener.ended {}
        return listener.octets.withLock { $0 }
    }

    private final class Listener: ByteStreamHandler, Sendable {
        let octets = Mutex<[UInt8]>([])
        let ended: AsyncStream<Never>
        private let end: AsyncStream<Never>.Continuation

        init() { (ended, end) = AsyncStream.makeStream() }

        func received(_ bytes: UnsafeRawBufferPointer) -> Int {
            octets.withLock { $0 += bytes }
            return bytes.count
        }
        func writabilityChanged(_ isWritable: Bool) {}
        func closed(_ reason: TransportError) { end.finish() }
    }
}
