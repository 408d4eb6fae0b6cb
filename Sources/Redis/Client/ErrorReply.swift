/// What the client does about an error reply.
///
/// Ordered: of several replies, the greatest decides.
package enum ErrorDisposition: Int, Sendable, Comparable {
    /// Hand it to the caller.
    case deliver
    /// The command did not run, and the same server will be better later: repeat on the connection after a wait.
    case repeatHere
    /// The command did not run, and another server may be the master now: look for it, connect, and repeat.
    case reconnectAndRepeat

    package static func < (left: ErrorDisposition, right: ErrorDisposition) -> Bool { left.rawValue < right.rawValue }
}

/// The text of an error reply, read: what kind it is, what the client does about it, what a person can do about it.
///
/// Only replies by which the server says that the command was *not run* are repeated, whoever sent them.
package struct ErrorReply: Sendable {
    private struct Kind {
        let code: RedisError.Code
        var disposition = ErrorDisposition.deliver
        var advice: String?
    }

    private static let cluster = Kind(
        code: .clusterNotSupported,
        advice: "this is a Redis Cluster, which is not supported: name a stand-alone server, or sentinels"
    )

    private static let table: [Substring: Kind] = [
        "WRONGPASS": Kind(code: .authentication, advice: "check the user and the password in the URL"),
        "NOAUTH": Kind(code: .authentication, advice: "the server wants a password: give one in the URL"),
        "NOPERM": Kind(code: .notPermitted, advice: "the ACL of the user forbids it"),
        "LOADING": Kind(code: .loading, disposition: .repeatHere),
        "BUSY": Kind(
            code: .busy,
            disposition: .repeatHere,
            advice: "SCRIPT KILL ends the script that occupies the server, unless it has written"
        ),
        "READONLY": Kind(
            code: .readOnly,
            disposition: .reconnectAndRepeat,
            advice: "the server is a replica: name the master, or sentinels, which know it"
        ),
        "MASTERDOWN": Kind(code: .masterDown, disposition: .reconnectAndRepeat),
        "UNBLOCKED": Kind(code: .readOnly, disposition: .reconnectAndRepeat),
        "NOREPLICAS": Kind(
            code: .tooFewReplicas,
            disposition: .reconnectAndRepeat,
            advice: "fewer replicas are in touch than min-replicas-to-write demands"
        ),
        "OOM": Kind(
            code: .outOfMemory,
            advice: "the server has reached maxmemory: raise it, or set a maxmemory-policy that evicts"
        ),
        "MISCONF": Kind(code: .notPersisting, advice: "see the server's log for why it cannot write to its disk"),
        "NOSCRIPT": Kind(code: .noScript, advice: "send the script's text with EVAL"),
        "EXECABORT": Kind(code: .transactionAborted),
        "MOVED": cluster, "ASK": cluster, "CLUSTERDOWN": cluster, "CROSSSLOT": cluster, "TRYAGAIN": cluster,
    ]

    private let text: String
    private let kind: Kind

    package init(_ text: String) {
        self.text = text
        kind = Self.kind(of: text)
    }

    private static func kind(of text: String) -> Kind {
        let word = text.prefix { $0 != " " && $0 != "\r" && $0 != "\n" }
        // Redis before 7 wraps what a script ran into; the script's first write was refused then.
        if word == "ERR", text.hasPrefix("ERR Error running script") {
            let refusals = ["READONLY", "OOM", "MISCONF", "NOREPLICAS"]
            let refusal = refusals.first { text.contains("-\($0) ") }
            if let refusal, let kind = table[refusal[...]] { return kind }
        }
        // Redis 7, which became a replica between the last command of a transaction and its EXEC.
        let isLate = word == "EXECABORT" && text.contains("read only replica")
        if isLate, let kind = table["READONLY"] { return kind }
        if text.hasPrefix("ERR SELECT is not allowed in cluster mode") { return cluster }
        return table[word] ?? Kind(code: .command)
    }

    package var code: RedisError.Code { kind.code }
    package var disposition: ErrorDisposition { kind.disposition }
    /// The server's words, and what to do about them.
    package var message: String { kind.advice.map { "\(text) (\($0))" } ?? text }
}

extension RedisError {
    /// Reads an error reply.
    package init(reply text: String) {
        let reply = ErrorReply(text)
        self.init(reply.code, reply.message)
    }
}

/// What the client does about the complete answer to a request, error replies among it considered.
package enum AnswerVerdict: Equatable, Sendable {
    /// Hand it to the caller.
    case deliver
    /// Hand it to the caller, since part of it ran, and then look for the master: this is not the one.
    case deliverAndReconnect(reason: String)
    /// Nothing of it ran, or it does no harm twice.
    case repeatHere(reason: String)
    /// Nothing of it ran, or it does no harm twice.
    case reconnectAndRepeat(reason: String)

    package init(_ answer: RESPValue, isTransaction: Bool, isIdempotent: Bool) {
        switch answer {
        case .error(let text):
            self.init(ErrorReply(text).disposition, text, repeats: true)
        case .array(let replies) where isTransaction || replies.contains(where: \.isError):
            self.init(replies, isTransaction, isIdempotent)
        case .array, .simple, .integer, .bulk, .null: self = .deliver
        }
    }

    private init(_ replies: [RESPValue], _ isTransaction: Bool, _ isIdempotent: Bool) {
        var worst = (disposition: ErrorDisposition.deliver, text: "")
        var refusedCount = 0
        for case .error(let text) in replies {
            let disposition = ErrorReply(text).disposition
            if disposition != .deliver { refusedCount += 1 }
            if disposition > worst.disposition { worst = (disposition, text) }
        }
        // MULTI was accepted and EXEC was not: what stood between was only queued.
        let isDiscarded = isTransaction && replies.first == .simple("OK") && replies.last?.isError == true
        self.init(
            worst.disposition,
            worst.text,
            repeats: isIdempotent || isDiscarded || refusedCount == replies.count
        )
    }

    private init(_ disposition: ErrorDisposition, _ reason: String, repeats: Bool) {
        switch disposition {
        case .deliver: self = .deliver
        case .repeatHere: self = repeats ? .repeatHere(reason: reason) : .deliver
        case .reconnectAndRepeat:
            self = repeats ? .reconnectAndRepeat(reason: reason) : .deliverAndReconnect(reason: reason)
        }
    }
}

extension RESPValue {
    fileprivate var isError: Bool { if case .error = self { true } else { false } }
}
