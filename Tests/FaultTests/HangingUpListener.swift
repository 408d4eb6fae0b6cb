import Glibc
import TestSupport

/// A server that takes every connection and closes it at once.
final class HangingUpListener: Sendable {
    let port: UInt16
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && listen(descriptor, 128) == 0
                    && getsockname(descriptor, pointer, &length) == 0
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        guard isListening else { throw NotInTime(description: "cannot listen: errno \(errno)") }
    }

    deinit { close(descriptor) }

    /// Hangs up on everybody who calls within a time, and counts them.
    func countCalls(for duration: Duration) async throws -> Int {
        let end = ContinuousClock.now.advanced(by: duration)
        var calls = 0
        while ContinuousClock.now < end {
            let connection = accept(descriptor, nil, nil)
            if connection >= 0 {
                close(connection)
                calls += 1
            } else {
                try await Task.sleep(for: .milliseconds(1))
            }
        }
        return calls
    }
}
