/// An error that the server of a call tells its caller.
///
/// A handler throws it to say what went wrong in words that the caller may read. It travels in the reply's header
/// `rpc-failure`, a table of the two texts, and arrives as ``AMQPError/rpcFailure``.
public struct RPCFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name of the header that carries it.
    public static let header = "rpc-failure"

    /// What kind of failure it is, for programs: a name that stays.
    public var kind: String
    /// What went wrong, for people.
    public var message: String

    /// A failure to tell a caller.
    public init(kind: String, message: String) {
        self.kind = kind
        self.message = message
    }

    /// The kind and the message on one line.
    public var description: String { "\(kind): \(message)" }

    /// Any error that a handler has thrown.
    ///
    /// Of one that was not meant for the caller only the type is told: its text may be confidential.
    init(thrown error: any Error) {
        self =
            error as? RPCFailure
            ?? RPCFailure(kind: String(describing: type(of: error)), message: "the call's handler threw an error")
    }

    init?(_ headers: FieldTable?) {
        guard let value = headers?[Self.header] else { return nil }
        kind = value.table?["kind"]?.string ?? "Unreadable"
        message = value.table?["message"]?.string ?? "the server says that it failed, and not how"
    }

    var table: FieldTable { ["kind": .string(kind), "message": .string(message)] }
}

extension AMQPError {
    /// What the server of the call said, if that is why the call failed.
    public var rpcFailure: RPCFailure? { underlying as? RPCFailure }
}
