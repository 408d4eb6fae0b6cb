internal import CeleriacCore
internal import Redis

extension RedisLockStore {
    /// Keys that one step of the walk looks at; the server is busy for well under a millisecond.
    private static let stride = 500

    /// Walks over the keys by `SCAN`, which other clients do not feel; what is taken or freed meanwhile may be missed.
    func locks(matching pattern: String, limit: Int) async throws(CeleriacError) -> [HeldLock] {
        var found: [HeldLock] = []
        var known: Set<String> = []
        var cursor = "0"
        repeat {
            let page = try await link.send(
                RedisCommand("SCAN", cursor, "MATCH", Self.glob(pattern), "COUNT", Self.stride),
                attempting: "list the locks"
            )
            guard let fields = page.array, fields.count == 2, let next = fields[0].string, let names = fields[1].array
            else { throw CeleriacError(.undecodable, "list the locks: Redis answered \(page)") }
            cursor = next
            // A walk may come upon a key twice.
            let keys = names.compactMap(\.string).filter { known.insert($0).inserted }
            guard !keys.isEmpty else { continue }
            let reply = try await link.evaluate(
                RedisLockScripts.describe,
                keys: keys,
                arguments: [],
                attempting: "list the locks"
            )
            found += (reply.array ?? []).compactMap(Self.lock)
        } while cursor != "0" && found.count < limit
        return Array(found.prefix(max(0, limit)))
    }

    private static func lock(_ value: RESPValue) -> HeldLock? {
        guard let fields = value.array, fields.count == 5, let key = fields[0].string, let owner = fields[1].string,
            let remaining = fields[2].integer, remaining != -2
        else { return nil }
        return HeldLock(
            key: key,
            owner: owner,
            remaining: remaining < 0 ? nil : .milliseconds(remaining),
            age: fields[4].string.flatMap { Int($0) }.map { .milliseconds(max(0, $0)) },
            fence: fields[3].string.flatMap { UInt64($0) }
        )
    }

    /// Redis gives `?`, `[` and `\` meanings that our patterns do not have.
    private static func glob(_ pattern: String) -> String {
        var glob = ""
        for character in pattern {
            if character == "?" || character == "[" || character == "]" || character == "\\" { glob.append("\\") }
            glob.append(character)
        }
        return glob
    }

    func clear(_ key: String) async throws(CeleriacError) -> Bool {
        let reply = try await link.evaluate(
            RedisLockScripts.clear,
            keys: [key],
            arguments: [],
            attempting: "clear the lock \(key)"
        )
        return reply.integer == 1
    }
}
