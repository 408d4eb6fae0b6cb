import FoundationEssentials
import Testing

@testable import CeleriacCore

@Suite("Admission of unique calls") struct CallAdmissionTests {
    private static let now = Date(timeIntervalSince1970: 1_800_000_000)

    @Test(
        "A call that meets a lock comes to what its policy says",
        arguments: [
            (UniquePolicy.Conflict.refuse, CallAdmission.Step.refuse(owner: "a", remaining: .seconds(5))),
            (.returnExisting, .give(owner: "a", .existing)), (.ignore, .give(owner: "a", .ignored)),
        ]
    )
    func held(_ conflict: UniquePolicy.Conflict, _ step: CallAdmission.Step) {
        let admission = CallAdmission(conflict, deadline: Self.now)
        #expect(admission.first == .acquire)
        #expect(admission.received(.acquired(fence: 1)) == .send)
        #expect(admission.received(.held(by: "a", remaining: .seconds(5))) == step)
    }

    @Test("A call joins another that was sent", arguments: [UniquePolicy.Conflict.trailing, .replaceArguments])
    func joined(_ conflict: UniquePolicy.Conflict) {
        var admission = CallAdmission(conflict, deadline: Self.now)
        #expect(admission.first == .reserve(takingOver: false))
        #expect(admission.received(.reserved(fence: 1), now: Self.now) == .send)
        #expect(
            admission.received(.joined(owner: "a", remaining: .seconds(1)), now: Self.now)
                == .give(owner: "a", conflict == .trailing ? .joined : .replaced)
        )
    }

    @Test("A call waits for one that is being sent, a little longer each time, and takes its place in the end")
    func unconfirmed() {
        var admission = CallAdmission(.trailing, deadline: Self.now.addingTimeInterval(1))
        let outcome = ReserveOutcome.unconfirmed(owner: "a", remaining: .seconds(60))
        var now = Self.now
        var pauses: [Duration] = []
        while case .pause(let pause) = admission.received(outcome, now: now) {
            pauses.append(pause)
            now.addTimeInterval(pause.inSeconds)
        }
        #expect(pauses.prefix(6) == [5, 10, 20, 40, 80, 100].map { .milliseconds($0) }[...])
        #expect(pauses.allSatisfy { $0 > .zero && $0 <= .milliseconds(100) })
        #expect(admission.received(outcome, now: now.addingTimeInterval(1)) == .reserve(takingOver: true))
    }
}

@Suite("Leases of unique calls") struct UniqueLeaseTests {
    private func lease(_ policy: UniquePolicy, delay: Duration = .zero, expires: Duration? = nil) -> Duration {
        policy.queueLease(delay: delay, untilExpiry: expires)
    }

    @Test("A queued call's lock lasts beyond its delay, or until the call has expired")
    func queued() {
        let policy = UniquePolicy(lease: .seconds(10))
        #expect(lease(policy) == .seconds(10))
        #expect(lease(policy, delay: .seconds(5)) == .seconds(15))
        #expect(lease(policy, delay: .seconds(5), expires: .seconds(100)) == .seconds(160))
        #expect(lease(policy, expires: .seconds(-500)) == .seconds(1))
    }

    @Test("A window's and for ever's lock have their own time")
    func lapsing() {
        #expect(lease(.throttle(.seconds(7)), delay: .seconds(5), expires: .seconds(9)) == .seconds(7))
        #expect(lease(UniquePolicy(scope: .forever), expires: .seconds(9)) == .seconds(365 * 86_400))
    }

    @Test("A lock travels in its message's headers")
    func headers() throws {
        for end in [UniqueLock.End.started, .finished, .lapsed] {
            for joins in [false, true] {
                let lock = UniqueLock(key: "k", lease: .seconds(3), end: end, joins: joins)
                var headers: MessageHeaders = [:]
                lock.write(to: &headers)
                #expect(UniqueLock(headers: headers) == lock)
            }
        }
        #expect(UniqueLock(headers: ["x-celeriac-unique": "k", "x-celeriac-unique-until": "else"])?.end == .finished)
    }
}
