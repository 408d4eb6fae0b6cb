internal import Glibc

/// Why a stream could not be opened, or ended.
public struct TransportError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of failure, an open set.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Raw: String {
            case unresolvable, refused, unreachable, timedOut, closedByPeer, reset, overflow, closed, cancelled, system
            case tlsFailed
        }
        private let raw: Raw

        /// The host name has no address.
        public static let unresolvable = Code(raw: .unresolvable)
        /// Nobody listens at the address.
        public static let refused = Code(raw: .refused)
        /// No route to the address, or the socket file is missing.
        public static let unreachable = Code(raw: .unreachable)
        /// The deadline passed.
        public static let timedOut = Code(raw: .timedOut)
        /// The peer ended the stream.
        public static let closedByPeer = Code(raw: .closedByPeer)
        /// The connection was reset or its data stayed unacknowledged for too long.
        public static let reset = Code(raw: .reset)
        /// A bounded buffer would have had to grow past its limit.
        public static let overflow = Code(raw: .overflow)
        /// This side closed the stream.
        public static let closed = Code(raw: .closed)
        /// The waiting task was cancelled.
        public static let cancelled = Code(raw: .cancelled)
        /// Another failure of the operating system; see the message.
        public static let system = Code(raw: .system)

        /// TLS failed; ``TransportError/tlsFailure`` tells how.
        public static let tlsFailed = Code(raw: .tlsFailed)

        /// The code's name.
        public var description: String { raw.rawValue }
    }

    /// What kind of failure it is.
    public let code: Code
    /// What was attempted, where, and what came back.
    public let message: String
    /// What went wrong with TLS, if it was TLS.
    public let tlsFailure: TLSFailure?

    package init(_ code: Code, _ message: String, tlsFailure: TLSFailure? = nil) {
        self.code = code
        self.message = message
        self.tlsFailure = tlsFailure
    }

    package init(_ failure: TLSFailure, _ message: String) {
        self.init(.tlsFailed, message, tlsFailure: failure)
    }

    /// Names a failed system call.
    package init(system error: Int32, _ attempt: String) {
        let code: Code =
            switch error {
            case ECONNREFUSED: .refused
            case ENOENT, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL: .unreachable
            case ETIMEDOUT: .timedOut
            case ECONNRESET, EPIPE: .reset
            default: .system
            }
        self.init(code, "\(attempt): \(String(cString: strerror(error)))")
    }

    /// The code and the message on one line.
    public var description: String { "\(code): \(message)" }
}
