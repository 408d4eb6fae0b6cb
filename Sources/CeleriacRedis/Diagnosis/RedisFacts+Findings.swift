internal import CeleriacCore

/// The judgement of a server from what it tells: no input, no output.
extension RedisFacts {
    /// Beyond this the clocks of two machines are not those of one fleet.
    private static let skewLimit = Duration.seconds(1)
    private static let slowRoundTrip = Duration.milliseconds(100)
    /// From this share of `maxmemory` on it is worth a warning.
    private static let fullShare = 0.9
    /// Scripts that read the clock and write need the replication by effects of Redis 5.
    private static let oldestVersion = [5, 0]

    /// All findings, in the order in which one would look.
    var findings: [Finding] {
        var findings = [latency, clock]
        if refused.contains("INFO") {
            let advice = "allow it with: ACL SETUSER … +info"
            findings.append(
                .warn(
                    "redis info",
                    "the ACL refuses INFO, so version, role, memory and disk are unseen",
                    advice: advice
                )
            )
        }
        findings += [versionFinding, role, memory, eviction, disk, failover].compactMap(\.self)
        if refused.contains("CONFIG") {
            findings.append(.ok("redis settings", "CONFIG GET is refused; what only settings tell was not looked at"))
        }
        return findings
    }

    private var latency: Finding {
        let check = "redis latency"
        guard roundTrip > Self.slowRoundTrip else { return .ok(check, "\(roundTrip.asFound) there and back") }
        return .warn(
            check,
            "\(roundTrip.asFound) there and back; every result waits for it",
            advice: "put Redis near the workers, or look at its SLOWLOG"
        )
    }

    private var clock: Finding {
        let check = "redis clock"
        guard let clockLead else { return .ok(check, "TIME is refused; the clocks were not compared") }
        let distance = clockLead < .zero ? .zero - clockLead : clockLead
        let direction = clockLead < .zero ? "ahead of" : "behind"
        guard distance - clockUncertainty > Self.skewLimit else {
            return .ok(check, "this machine agrees with Redis to \(max(distance, clockUncertainty).asFound)")
        }
        return .warn(
            check,
            "this machine is \(distance.asFound) \(direction) Redis",
            advice: "synchronise both clocks (NTP): delays, expiry and schedules go by the machines' clocks"
        )
    }

    private var versionFinding: Finding? {
        guard let version else { return nil }
        let numbers = version.split(separator: ".").map { Int($0) ?? 0 }
        guard numbers.lexicographicallyPrecedes(Self.oldestVersion) else { return .ok("redis version", version) }
        return .fail("redis version", "\(version) is too old for the scripts", advice: "use Redis 5.0 or later")
    }

    private var role: Finding? {
        guard let isReplica else { return nil }
        let check = "redis role"
        guard isReplica else {
            return .ok(check, replicaCount == 0 ? "master" : "master of \(replicaCount) replicas")
        }
        let advice = "name the master in the URL, or sentinels, which know it"
        guard isReadOnlyReplica else {
            return .warn(check, "a replica: its master overwrites what is stored here", advice: advice)
        }
        return .fail(check, "a read-only replica: no result can be stored", advice: advice)
    }

    private var memory: Finding? {
        guard let usedMemory, let maximumMemory else { return nil }
        let check = "redis memory"
        guard maximumMemory > 0 else { return .ok(check, "\(Self.megabytes(usedMemory)) used, no maxmemory") }
        let what = "\(Self.megabytes(usedMemory)) of \(Self.megabytes(maximumMemory)) used"
        let advice = "raise maxmemory, or keep results for a shorter time"
        if usedMemory >= maximumMemory, evictionPolicy == "noeviction" {
            return .fail(check, "\(what): it refuses to store results", advice: advice)
        }
        guard Double(usedMemory) >= Self.fullShare * Double(maximumMemory) else { return .ok(check, what) }
        return .warn(check, what, advice: advice)
    }

    private var eviction: Finding? {
        guard let evictionPolicy, let maximumMemory else { return nil }
        let check = "redis eviction"
        if evictionPolicy == "noeviction" { return .ok(check, "noeviction") }
        guard maximumMemory > 0 else { return .ok(check, "\(evictionPolicy), without effect while maxmemory is 0") }
        return .warn(
            check,
            "\(evictionPolicy) with maxmemory \(Self.megabytes(maximumMemory)): results of finished tasks, locks of unique "
                + "calls and sent slots of beat may vanish",
            advice: "set maxmemory-policy noeviction"
        )
    }

    private var disk: Finding? {
        guard let appendsToFile else { return nil }
        let check = "redis persistence"
        if appendsToFile, hasFailedAppend {
            return .fail(
                check,
                "the last write to the append-only file failed",
                advice: "see its log; the disk may be full"
            )
        }
        if hasFailedSnapshot, takesSnapshots != false {
            let advice = "see its log; the disk may be full, or memory too short to fork"
            guard stopsWritesAfterFailedSnapshot != false else {
                return .warn(check, "the last snapshot failed; a restart goes back to an older one", advice: advice)
            }
            return .fail(check, "the last snapshot failed, and it takes no writes after that", advice: advice)
        }
        if appendsToFile { return .ok(check, "append-only file") }
        let advice = "set appendonly yes"
        switch takesSnapshots {
        case true?:
            return .warn(
                check,
                "snapshots only: a crash loses what was stored since the last one, results and locks",
                advice: advice
            )
        case false?:
            return .warn(
                check,
                "neither append-only file nor snapshots: a restart loses every result and lock",
                advice: advice
            )
        case nil: return .ok(check, "no append-only file; whether there are snapshots was not looked at")
        }
    }

    /// Only where a fail-over is to be expected.
    private var failover: Finding? {
        guard isBehindSentinels, let minimumReplicas, isReplica == false else { return nil }
        let check = "redis fail-over"
        if minimumReplicas > 0 { return .ok(check, "min-replicas-to-write \(minimumReplicas)") }
        return .warn(
            check,
            "a master that was cut off goes on taking results, which are lost when it comes back",
            advice: "set min-replicas-to-write 1"
        )
    }

    private static func megabytes(_ octets: Int) -> String {
        "\((Double(octets) / 1e5).rounded() / 10) MB"
    }
}
