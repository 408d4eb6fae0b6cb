internal import Transport

extension RedisConnection {
    /// Connects to the server of a URL, or to the master that its sentinels name.
    ///
    /// - Parameter search: What was learnt about the sentinels before; absent where there are none.
    static func connect(
        _ configuration: RedisConfiguration,
        search: inout SentinelSearch?,
        on loop: EventLoop
    ) async throws(RedisError) -> RedisConnection {
        guard let sentinels = configuration.url.sentinels, var current = search else {
            return try await open(configuration, on: loop)
        }
        defer { search = current }
        return try await connect(configuration, sentinels, &current, on: loop)
    }

    private static func connect(
        _ configuration: RedisConfiguration,
        _ sentinels: RedisSentinels,
        _ search: inout SentinelSearch,
        on loop: EventLoop
    ) async throws(RedisError) -> RedisConnection {
        var refusals: [RedisError] = []
        var step = search.begin(now: .now, deadline: .now + configuration.connectTimeout)
        while true {
            switch step {
            case .ask(let sentinel, let deadline):
                do throws(RedisError) {
                    let master = try await ask(sentinel, for: sentinels, until: deadline, configuration, on: loop)
                    step = search.answered(master, now: .now)
                } catch {
                    if error.code == .cancelled { throw error }
                    refusals.append(error)
                    step = search.unreachable(now: .now)
                }
            case .verify(let server, let deadline):
                do throws(RedisError) {
                    let connection = try await visit(server, until: deadline, configuration, on: loop)
                    search.confirmed()
                    return connection
                } catch {
                    // Credentials that the master refuses are no better at another address.
                    if error.code == .cancelled || error.isPermanent { throw error }
                    refusals.append(error)
                    step = search.refuted(now: .now)
                }
            case .fail(let failure): throw failed(failure, refusals, configuration.url)
            }
        }
    }

    private static func failed(
        _ failure: SentinelSearch.Failure,
        _ refusals: [RedisError],
        _ url: RedisURL
    ) -> RedisError {
        let cause = refusals.last
        switch failure {
        case .nobodyAnswered:
            let isRefused = !refusals.isEmpty && refusals.allSatisfy { $0.code == .authentication }
            let code: RedisError.Code = isRefused ? .authentication : .cannotConnect
            return RedisError(code, "none of the sentinels of \(url) answered", underlying: cause)
        case .unknownMaster:
            return RedisError(.masterUnknown, "no sentinel knows the master of \(url)", underlying: cause)
        case .noMaster:
            let message = "the server that the sentinels of \(url) name does not serve as a master"
            return RedisError(cause?.code ?? .cannotConnect, message, underlying: cause)
        }
    }

    /// Asks one sentinel where the master is; nothing when it does not know.
    private static func ask(
        _ sentinel: Endpoint,
        for sentinels: RedisSentinels,
        until deadline: ContinuousClock.Instant,
        _ configuration: RedisConfiguration,
        on loop: EventLoop
    ) async throws(RedisError) -> Endpoint? {
        var configuration = configuration.asking(sentinel, of: sentinels)
        configuration.connectTimeout = ContinuousClock.now.duration(to: deadline)
        let connection = try await open(configuration, on: loop)
        let reply: RESPValue
        do throws(RedisError) {
            reply = try await connection.perform(
                RedisCommand("SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels.master),
                deadline: deadline,
                retry: .never
            )
        } catch {
            await connection.abort(.closed, "the sentinel has answered")
            throw error
        }
        await connection.abort(.closed, "the sentinel has answered")
        if reply.isNull { return nil }
        guard let parts = reply.array, parts.count == 2, let host = parts[0].string, !host.isEmpty,
            let port = parts[1].integer, (1...65535).contains(port)
        else { throw RedisError(.unexpectedReply, "\(sentinel) answered with something else than an address") }
        return .tcp(host: host, port: port)
    }

    /// Connects to the server that a sentinel has named, if it is a master indeed.
    ///
    /// A sentinel goes on naming a master that is gone until the others agree with it, and a replica that was restarted
    /// may have its address.
    private static func visit(
        _ server: Endpoint,
        until deadline: ContinuousClock.Instant,
        _ configuration: RedisConfiguration,
        on loop: EventLoop
    ) async throws(RedisError) -> RedisConnection {
        var configuration = configuration
        configuration.connectTimeout = ContinuousClock.now.duration(to: deadline)
        configuration.url.endpoint = server
        configuration.url.sentinels = nil
        let connection = try await open(configuration, on: loop)
        do throws(RedisError) {
            let role = try await connection.perform(RedisCommand("ROLE"), deadline: deadline, retry: .never)
            guard role.array?.first?.string == "master" else {
                throw RedisError(.readOnly, "\(configuration.url) is not a master now")
            }
        } catch {
            // Without the permission to ask, the first refused write tells.
            if error.code == .notPermitted { return connection }
            await connection.abort(.closed, "this is not the master")
            throw error
        }
        return connection
    }
}

extension RedisConfiguration {
    /// How to reach one of the sentinels, who know nothing of the master's users and databases.
    func asking(_ sentinel: Endpoint, of sentinels: RedisSentinels) -> RedisConfiguration {
        var configuration = self
        configuration.clientName = nil
        configuration.url.endpoint = sentinel
        configuration.url.sentinels = nil
        configuration.url.user = sentinels.user
        configuration.url.password = sentinels.password
        configuration.url.database = 0
        return configuration
    }
}
