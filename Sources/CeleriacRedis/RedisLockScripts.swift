internal import Redis

/// The steps of the lock store, each one way to Redis and atomic there, on the server's clock.
enum RedisLockScripts {
    /// The last fence that was given.
    ///
    /// Fences are the server's clock in microseconds, or one more than the last if the clock was set back: they go on
    /// growing when a lock is forgotten, and when Redis forgets everything.
    static let fenceKey = "celeriac-locks:fence"

    private static let common = """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local function take(key, owner, fenceKey)
            local fence = time[1] * 1000000 + time[2]
            local last = tonumber(redis.call('GET', fenceKey) or 0) or 0
            if fence <= last then fence = last + 1 end
            local text = string.format('%.0f', fence)
            redis.call('SET', fenceKey, text, 'PX', 31536000000)
            redis.call('DEL', key)
            redis.call('HSET', key, 'owner', owner, 'fence', text, 'since', string.format('%.0f', now))
            return text
        end
        local function prolong(key, lease)
            if redis.call('PTTL', key) < lease then redis.call('PEXPIRE', key, string.format('%.0f', lease)) end
        end

        """

    static let acquire = RedisScript(
        common + """
            local owner = redis.call('HGET', KEYS[1], 'owner')
            if owner and owner ~= ARGV[1] then
                return {0, owner, redis.call('PTTL', KEYS[1])}
            end
            local fence = owner and redis.call('HGET', KEYS[1], 'fence') or take(KEYS[1], ARGV[1], KEYS[2])
            prolong(KEYS[1], tonumber(ARGV[2]))
            return {1, fence}
            """
    )

    static let renew = RedisScript(
        common + """
            if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
            prolong(KEYS[1], tonumber(ARGV[2]))
            return 1
            """
    )

    static let release = RedisScript(
        """
        if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
        return redis.call('DEL', KEYS[1])
        """
    )

    /// `celery-once` has no place for a fence.
    static let acquireForeign = RedisScript(
        """
        local owner = redis.call('GET', KEYS[1])
        if owner and owner ~= ARGV[1] then
            return {0, owner, redis.call('PTTL', KEYS[1])}
        end
        if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
            redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        end
        return {1, '0'}
        """
    )

    static let renewForeign = RedisScript(
        """
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
        return 1
        """
    )

    static let releaseForeign = RedisScript(
        """
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        return redis.call('DEL', KEYS[1])
        """
    )

    /// Beside owner and fence: `sent`, once the call is confirmed; `due`, in milliseconds since 1970; `expires`, the latest
    /// instant of all that have joined, `0` for never; `body`, the arguments offered last.
    static let reserve = RedisScript(
        common + """
            local held = redis.call('HMGET', KEYS[1], 'owner', 'sent', 'since', 'due', 'expires', 'fence')
            local owner, lease, wait = held[1], tonumber(ARGV[2]), tonumber(ARGV[6])
            if owner == ARGV[1] then
                prolong(KEYS[1], lease)
                return {1, held[6]}
            end
            if not owner or (not held[2] and ARGV[8] == '1') then
                local fence = take(KEYS[1], ARGV[1], KEYS[2])
                if wait > 0 then redis.call('HSET', KEYS[1], 'due', string.format('%.0f', now + wait)) end
                prolong(KEYS[1], lease)
                return {1, fence}
            end
            if not held[2] then return {2, owner, redis.call('PTTL', KEYS[1])} end
            local expires = ARGV[5]
            if held[5] and expires ~= '0' then
                if held[5] == '0' or tonumber(held[5]) > tonumber(expires) then expires = held[5] end
            end
            redis.call('HSET', KEYS[1], 'expires', expires)
            if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'body', ARGV[4]) end
            local due = tonumber(held[4] or 0) or 0
            if wait > 0 then
                due = math.max(due, math.min(now + wait, (tonumber(held[3]) or now) + tonumber(ARGV[7])))
                redis.call('HSET', KEYS[1], 'due', string.format('%.0f', due))
            end
            prolong(KEYS[1], math.max(0, due - now) + lease)
            return {0, owner, redis.call('PTTL', KEYS[1])}
            """
    )

    static let confirm = RedisScript(
        common + """
            if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
            redis.call('HSET', KEYS[1], 'sent', '1')
            prolong(KEYS[1], tonumber(ARGV[2]))
            return 1
            """
    )

    static let start = RedisScript(
        common + """
            local other = redis.call('HGET', KEYS[2], 'owner')
            if other and other ~= ARGV[1] then
                return {0, other, redis.call('PTTL', KEYS[2])}
            end
            local queued = redis.call('HMGET', KEYS[1], 'owner', 'due', 'expires', 'body')
            local isQueued = queued[1] == ARGV[1]
            local due = isQueued and tonumber(queued[2] or 0) or 0
            if due > now then return {2, due - now} end
            if not other then take(KEYS[2], ARGV[1], KEYS[3]) end
            prolong(KEYS[2], tonumber(ARGV[2]))
            if isQueued then
                if queued[3] then redis.call('HSET', KEYS[2], 'expires', queued[3]) end
                if queued[4] then redis.call('HSET', KEYS[2], 'body', queued[4]) end
                redis.call('DEL', KEYS[1])
            end
            local kept = redis.call('HMGET', KEYS[2], 'fence', 'expires', 'body')
            return {1, kept[1], kept[2] or '', kept[3] and 1 or 0, kept[3] or ''}
            """
    )

    /// For each key, if it is a lock: its name, owner, remaining time, fence and since when.
    static let describe = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local found = {}
        for _, key in ipairs(KEYS) do
            local kind = redis.call('TYPE', key).ok
            if kind == 'hash' then
                local held = redis.call('HMGET', key, 'owner', 'fence', 'since')
                if held[1] and held[2] then
                    local age = held[3] and string.format('%.0f', now - held[3]) or ''
                    table.insert(found, {key, held[1], redis.call('PTTL', key), held[2], age})
                end
            elseif kind == 'string' and string.sub(key, 1, 3) == 'qo_' then
                table.insert(found, {key, redis.call('GET', key), redis.call('PTTL', key), '', ''})
            end
        end
        return found
        """
    )

    /// Deletes a lock, and nothing else that happens to have the name.
    static let clear = RedisScript(
        """
        local kind = redis.call('TYPE', KEYS[1]).ok
        if kind == 'hash' and redis.call('HEXISTS', KEYS[1], 'fence') == 1 or
            kind == 'string' and string.sub(KEYS[1], 1, 3) == 'qo_' then
            return redis.call('DEL', KEYS[1])
        end
        return 0
        """
    )
}
