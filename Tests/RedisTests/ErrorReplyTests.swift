import Redis
import Testing

@Suite("Redis error replies") struct ErrorReplyTests {
    struct Sample: Sendable, CustomTestStringConvertible {
        let text: String
        let code: RedisError.Code
        let disposition: ErrorDisposition
        let advice: String

        init(
            _ text: String,
            _ code: RedisError.Code,
            _ disposition: ErrorDisposition = .deliver,
            says advice: String = ""
        ) {
            self.text = text
            self.code = code
            self.disposition = disposition
            self.advice = advice
        }

        var testDescription: String { text }
    }

    static let unsupported = "this is a Redis Cluster, which is not supported"

    // The texts are those of Redis 7.0, the wrapped one that of 6.2.
    static let all: [Sample] = [
        Sample("LOADING Redis is loading the dataset in memory", .loading, .repeatHere),
        Sample(
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            .busy,
            .repeatHere,
            says: "SCRIPT KILL"
        ),
        Sample(
            "READONLY You can't write against a read only replica.",
            .readOnly,
            .reconnectAndRepeat,
            says: "name the master"
        ),
        Sample(
            "READONLY You can't write against a read only replica. script: 4b1c, on @user_script:1.",
            .readOnly,
            .reconnectAndRepeat
        ),
        Sample(
            "ERR Error running script (call to f_4b1c): @user_script:1: @user_script: 1: -READONLY You can't write "
                + "against a read only replica.",
            .readOnly,
            .reconnectAndRepeat
        ),
        Sample(
            "ERR Error running script (call to f_4b1c): @user_script:1: @user_script: 1: -OOM command not allowed when "
                + "used memory > 'maxmemory'.",
            .outOfMemory,
            .deliver
        ),
        Sample(
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
            .readOnly,
            .reconnectAndRepeat
        ),
        Sample(
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            .masterDown,
            .reconnectAndRepeat
        ),
        Sample("NOREPLICAS Not enough good replicas to write.", .tooFewReplicas, .reconnectAndRepeat),
        Sample("OOM command not allowed when used memory > 'maxmemory'.", .outOfMemory, says: "maxmemory-policy"),
        Sample("MISCONF Redis is configured to save RDB snapshots", .notPersisting, says: "log"),
        Sample("NOSCRIPT No matching script. Please use EVAL.", .noScript, says: "EVAL"),
        Sample("NOAUTH Authentication required.", .authentication, says: "password"),
        Sample("WRONGPASS invalid username-password pair or user is disabled.", .authentication, says: "password"),
        Sample("NOPERM this user has no permissions to run the 'get' command", .notPermitted, says: "ACL"),
        Sample("EXECABORT Transaction discarded because of previous errors.", .transactionAborted),
        Sample(
            "EXECABORT Transaction discarded because of: You can't write against a read only replica.",
            .readOnly,
            .reconnectAndRepeat
        ),
        Sample("MOVED 3999 127.0.0.1:6381", .clusterNotSupported, says: unsupported),
        Sample("ASK 3999 127.0.0.1:6381", .clusterNotSupported, says: unsupported),
        Sample("CLUSTERDOWN Hash slot not served", .clusterNotSupported, says: unsupported),
        Sample("CROSSSLOT Keys in request don't hash to the same slot", .clusterNotSupported, says: unsupported),
        Sample("TRYAGAIN Multiple keys request during rehashing of slot", .clusterNotSupported, says: unsupported),
        Sample("ERR SELECT is not allowed in cluster mode", .clusterNotSupported, says: unsupported),
        Sample("WRONGTYPE Operation against a key holding the wrong kind of value", .command),
        Sample("BUSYGROUP Consumer Group name already exists", .command),
        Sample("ERR unknown command 'READONLY'", .command),
        Sample("LOADINGS of nothing", .command),
        Sample("", .command),
    ]

    @Test("Have a code, a consequence and advice", arguments: all)
    func classification(_ sample: Sample) {
        let reply = ErrorReply(sample.text)
        #expect(reply.code == sample.code)
        #expect(reply.disposition == sample.disposition)
        let error = RedisError(reply: sample.text)
        #expect(error.code == sample.code)
        #expect(error.message.hasPrefix(sample.text) && error.message.contains(sample.advice))
    }

    static let readOnly = RESPValue.error("READONLY replica")
    static let loading = RESPValue.error("LOADING data")
    static let queued = RESPValue.simple("QUEUED")
    static let started = RESPValue.simple("OK")
    static let aborted = RESPValue.error("EXECABORT discarded")

    @Test("A pipeline is repeated when nothing of it ran, or when it does no harm twice")
    func pipelines() {
        func verdict(_ replies: [RESPValue], isIdempotent: Bool = false) -> AnswerVerdict {
            AnswerVerdict(.array(replies), isTransaction: false, isIdempotent: isIdempotent)
        }
        #expect(verdict([.integer(1), .error("ERR no")]) == .deliver)
        #expect(verdict([Self.readOnly, Self.readOnly]) == .reconnectAndRepeat(reason: "READONLY replica"))
        #expect(verdict([.integer(1), Self.readOnly]) == .deliverAndReconnect(reason: "READONLY replica"))
        #expect(
            verdict([.integer(1), Self.readOnly], isIdempotent: true) == .reconnectAndRepeat(reason: "READONLY replica")
        )
        #expect(verdict([.integer(1), Self.loading]) == .deliver)
        #expect(verdict([Self.loading, Self.loading]) == .repeatHere(reason: "LOADING data"))
        #expect(verdict([Self.loading, Self.readOnly]) == .reconnectAndRepeat(reason: "READONLY replica"))
    }

    @Test("A transaction is repeated when it was discarded for a reason that passes")
    func transactions() {
        func verdict(_ replies: [RESPValue]) -> AnswerVerdict {
            AnswerVerdict(.array(replies), isTransaction: true, isIdempotent: false)
        }
        #expect(
            verdict([Self.started, Self.queued, Self.readOnly, Self.aborted])
                == .reconnectAndRepeat(reason: "READONLY replica")
        )
        #expect(verdict([Self.loading, Self.loading, Self.loading]) == .repeatHere(reason: "LOADING data"))
        #expect(verdict([Self.started, Self.queued, Self.aborted]) == .deliver)
        #expect(verdict([Self.started, Self.queued, .array([Self.readOnly])]) == .deliver)
        // The server was ready between MULTI and EXEC, so what stood there ran by itself.
        #expect(verdict([Self.loading, .integer(1), .error("ERR EXEC without MULTI")]) == .deliver)
    }

    @Test(
        "A refused greeting names what is wrong, and never a password",
        arguments: [
            ("AUTH", "WRONGPASS invalid username-password pair", RedisError.Code.authentication),
            ("AUTH", "ERR AUTH <password> called without any password configured", .authentication),
            ("AUTH", "ERR unknown command 'AUTH', with args beginning with: 'canary'", .authentication),
            ("SELECT", "ERR DB index is out of range", .invalidDatabase),
            ("SELECT", "ERR SELECT is not allowed in cluster mode", .clusterNotSupported),
            ("SELECT", "NOAUTH Authentication required.", .authentication),
            ("CLIENT", "ERR Client names cannot contain spaces, newlines or special characters.", .invalidClientName),
            ("PING", "LOADING Redis is loading the dataset in memory", .loading),
            ("PING", "ERR max number of clients reached", .command),
        ]
    )
    func greeting(_ command: String, _ text: String, _ code: RedisError.Code) throws {
        let error = try #require(RedisConnection.greetingError(command, text, at: "redis://h:1/0"))
        #expect(error.code == code)
        #expect(error.message.contains("redis://h:1/0 answered \(command)"))
        #expect(!error.description.contains("canary"))
    }
}
