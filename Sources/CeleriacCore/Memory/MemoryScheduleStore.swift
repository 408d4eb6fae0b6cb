public import FoundationEssentials
internal import Synchronization

/// The state of beat inside this process; everything in it is lost when the process ends.
public final class MemoryScheduleStore: ScheduleStore {
    private struct Schedule {
        var leader: String?
        var leadsUntil = Date.distantPast
        var slots: [String: (slot: Date, isSent: Bool)] = [:]

        func leader(at now: Date) -> String? { leadsUntil > now ? leader : nil }
    }

    private let time: any TimeSource
    private let schedules = Mutex<[String: Schedule]>([:])

    /// A store that knows no schedule.
    public init(time: any TimeSource = SystemTimeSource()) {
        self.time = time
    }

    /// Takes or renews the leadership.
    public func lead(_ schedule: String, as owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        let now = time.now
        return schedules.withLock { schedules in
            let leader = schedules[schedule]?.leader(at: now)
            guard leader == nil || leader == owner else { return false }
            schedules[schedule, default: Schedule()].leader = owner
            schedules[schedule]?.leadsUntil = now.addingTimeInterval(lease.inSeconds)
            return true
        }
    }

    /// Gives the leadership up, if the caller has it.
    public func resign(_ schedule: String, as owner: String) async throws(CeleriacError) {
        schedules.withLock { schedules in
            if schedules[schedule]?.leader == owner { schedules[schedule]?.leader = nil }
        }
    }

    /// Claims one slot of an entry, checking the leadership in the same step.
    public func claim(
        _ slot: Date,
        of entry: String,
        in schedule: String,
        as owner: String
    ) async throws(CeleriacError) -> SlotClaim {
        let now = time.now
        return schedules.withLock { schedules in
            guard schedules[schedule]?.leader(at: now) == owner else { return .notLeader }
            if let last = schedules[schedule]?.slots[entry], last.slot >= slot { return .taken(isSent: last.isSent) }
            schedules[schedule]?.slots[entry] = (slot, false)
            return .granted
        }
    }

    /// Notes that the claimed slot was published and confirmed.
    public func markSent(_ slot: Date, of entry: String, in schedule: String) async throws(CeleriacError) {
        schedules.withLock { schedules in
            if schedules[schedule]?.slots[entry]?.slot == slot { schedules[schedule]?.slots[entry]?.isSent = true }
        }
    }

    /// The latest claimed slot of an entry; `nil` for one that never fired.
    public func lastSlot(
        of entry: String,
        in schedule: String
    ) async throws(CeleriacError) -> (slot: Date, isSent: Bool)? {
        schedules.withLock { $0[schedule]?.slots[entry] }
    }
}
