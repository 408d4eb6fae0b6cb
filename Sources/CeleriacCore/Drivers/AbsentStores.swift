package import FoundationEssentials

/// The stores of locks, schedules and limits of a configuration that has none: every use is refused with the reason.
///
/// Failing is the safe way: a lock that nobody else sees would stop no duplicate, and such a limit limit nothing.
package struct AbsentStores: LockStore, ScheduleStore, LimitStore {
    private let place: String

    /// No stores beside a result backend of that address.
    package init(beside place: String) { self.place = place }

    private func refusal(of what: String) -> CeleriacError {
        CeleriacError(.unsupported, "\(place) keeps no \(what); use redis:// or memory:// as the result backend")
    }

    package func acquire(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> LockOutcome {
        throw refusal(of: "locks")
    }

    package func renew(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        throw refusal(of: "locks")
    }

    package func release(_ key: String, owner: String) async throws(CeleriacError) -> Bool {
        throw refusal(of: "locks")
    }

    package func lead(_ schedule: String, as owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        throw refusal(of: "schedules")
    }

    package func resign(_ schedule: String, as owner: String) async throws(CeleriacError) {}

    package func claim(
        _ slot: Date,
        of entry: String,
        in schedule: String,
        as owner: String
    ) async throws(CeleriacError) -> SlotClaim {
        throw refusal(of: "schedules")
    }

    package func markSent(_ slot: Date, of entry: String, in schedule: String) async throws(CeleriacError) {
        throw refusal(of: "schedules")
    }

    package func lastSlot(
        of entry: String,
        in schedule: String
    ) async throws(CeleriacError) -> (slot: Date, isSent: Bool)? {
        throw refusal(of: "schedules")
    }

    package func open(within timeout: Duration) async throws(CeleriacError) { throw refusal(of: "limits") }

    package func take(_ request: RateRequest, within timeout: Duration) async throws(CeleriacError) -> RateDecision {
        throw refusal(of: "limits")
    }

    package func pause(
        _ request: RateRequest,
        for duration: Duration,
        within timeout: Duration
    ) async throws(CeleriacError) -> RateDecision {
        throw refusal(of: "limits")
    }

    package func acquire(
        _ key: String,
        owner: String,
        count: Int,
        lease: Duration,
        within timeout: Duration
    ) async throws(CeleriacError) -> PlaceDecision {
        throw refusal(of: "limits")
    }

    package func release(_ key: String, owner: String, within timeout: Duration) async throws(CeleriacError) -> Bool {
        throw refusal(of: "limits")
    }
}
