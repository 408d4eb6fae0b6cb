public import CeleriacCore
internal import Redis

/// The stores of one Redis server, sharing its connections: one for commands, one for waiting.
public struct RedisStores: Sendable {
    /// Keeps the results.
    public let results: any ResultBackend
    /// Keeps the locks of unique tasks.
    public let locks: any LockStore
    /// Keeps the state of beat.
    public let schedule: any ScheduleStore
    /// Counts what runs under limits.
    public let limits: any LimitStore

    /// Stores that connect when first used.
    ///
    /// - Parameters:
    ///   - url: `redis://[user][:password]@host[:port][/database]`, `redis+socket:///path` for a socket file, or
    ///     `sentinel://host,host/database?master=name` for the master that sentinels know; `rediss://` and `sentinels://`
    ///     with TLS.
    ///   - compression: Whether results are compressed.
    /// - Throws: ``CeleriacError`` `.configuration` for a URL that cannot be read.
    public init(
        _ url: ServerURL,
        clientName: String,
        compression: ResultCompression = .none
    ) throws(CeleriacError) {
        let link = try RedisLink(url, clientName: clientName)
        results = RedisResultBackend(link, compression: compression)
        locks = RedisLockStore(link)
        schedule = RedisScheduleStore(link)
        limits = RedisLimitStore(link)
    }
}

/// The connections that the stores share.
final class RedisLink: Sendable {
    let address: String
    let client: RedisClient
    let subscriber: RedisSubscriber
    /// Of fail-overs, behind sentinels.
    private let watch: MasterWatch?

    init(_ url: ServerURL, clientName: String) throws(CeleriacError) {
        let parsed: RedisURL
        do {
            parsed = try RedisURL(url.secret)
        } catch {
            throw CeleriacError(
                .configuration,
                "the Redis URL \(url) cannot be used: \(error.message)",
                underlying: error
            )
        }
        var configuration = RedisConfiguration(parsed)
        configuration.clientName = clientName
        address = "\(parsed)"
        let (client, subscriber) = (RedisClient(configuration), RedisSubscriber(configuration))
        (self.client, self.subscriber) = (client, subscriber)
        watch = MasterWatch(configuration) { [weak client, weak subscriber] master in
            client?.leaveMaster(for: master)
            subscriber?.leaveMaster(for: master)
        }
    }

    /// Ends the connections.
    func close() async {
        await watch?.close()
        await subscriber.close()
        await client.close()
    }

    /// Runs a script that does no harm when it runs twice, so that the client repeats it after a lost connection.
    func evaluate(
        _ script: RedisScript,
        keys: [String],
        arguments: RedisArguments,
        within timeout: Duration? = nil,
        attempting attempt: @autoclosure () -> String
    ) async throws(CeleriacError) -> RESPValue {
        watch?.start()
        do {
            return try await client.evaluate(
                script,
                keys: keys,
                arguments: arguments,
                timeout: timeout,
                retry: .idempotent
            )
        } catch {
            throw CeleriacError(error, attempting: attempt())
        }
    }

    func send(
        _ command: RedisCommand,
        within timeout: Duration? = nil,
        attempting attempt: @autoclosure () -> String
    ) async throws(CeleriacError) -> RESPValue {
        watch?.start()
        do {
            return try await client.send(command, timeout: timeout, retry: .idempotent)
        } catch {
            throw CeleriacError(error, attempting: attempt())
        }
    }

    /// Sends commands together; error replies are values.
    func pipeline(
        _ commands: [RedisCommand],
        within timeout: Duration,
        attempting attempt: @autoclosure () -> String
    ) async throws(CeleriacError) -> [RESPValue] {
        do {
            return try await client.pipeline(commands, timeout: timeout, retry: .idempotent)
        } catch {
            throw CeleriacError(error, attempting: attempt())
        }
    }
}

extension CeleriacError {
    init(_ error: RedisError, attempting attempt: String) {
        let code: Code =
            switch error.code {
            case .timedOut: .timedOut
            case .cancelled: .cancelled
            case .closed: .closed
            case .connectionLost, .outcomeUnknown: .connectionLost
            case .authentication, .notPermitted: .accessDenied
            case .invalidURL, .invalidDatabase, .invalidClientName, .clusterNotSupported: .configuration
            case .tlsFailed: error.tlsFailure?.isPermanent == true ? .configuration : .unavailable
            case .command: .refused
            default: .unavailable
            }
        self.init(code, "\(attempt): \(error)", isIndeterminate: error.mayHaveExecuted, underlying: error)
    }
}
