/// What a check of a server, or of the program itself, has found.
package struct Finding: Sendable, Hashable {
    /// How bad it is.
    package enum Verdict: String, Sendable, Comparable, CaseIterable {
        /// Nothing to do.
        case ok
        /// It works, and may lose or delay something.
        case warn
        /// It does not work.
        case fail

        package static func < (left: Verdict, right: Verdict) -> Bool { left.rank < right.rank }

        private var rank: Int {
            switch self {
            case .ok: 0
            case .warn: 1
            case .fail: 2
            }
        }
    }

    /// What was looked at, such as `redis eviction`; the same words for every verdict.
    package let check: String
    package let verdict: Verdict
    /// What there is; holds no credentials.
    package let what: String
    /// What to do about it.
    package let advice: String?

    private init(_ check: String, _ verdict: Verdict, _ what: String, _ advice: String?) {
        self.check = check
        self.verdict = verdict
        self.what = what
        self.advice = advice
    }

    package static func ok(_ check: String, _ what: String) -> Finding { Finding(check, .ok, what, nil) }

    package static func warn(_ check: String, _ what: String, advice: String) -> Finding {
        Finding(check, .warn, what, advice)
    }

    package static func fail(_ check: String, _ what: String, advice: String) -> Finding {
        Finding(check, .fail, what, advice)
    }

    /// A server that could not be used at all.
    package static func unusable(_ check: String, _ error: CeleriacError) -> Finding {
        let advice =
            switch error.code {
            case .accessDenied: "check the user, the password and the permissions in the URL"
            case .notFound: "check the virtual host in the URL"
            case .configuration: "check the URL"
            default: "check that the server runs and that the URL names it"
            }
        return .fail(check, "\(error.message) (\(error.code))", advice: advice)
    }
}

/// A driver that can look at its server and judge what it sees.
package protocol Examinable: Sendable {
    /// Connects if need be and looks; what goes wrong is a finding.
    ///
    /// - Parameter time: The clock that the server's is compared with.
    func examine(within timeout: Duration, time: any TimeSource) async -> [Finding]
}

/// A broker driver that knows what its server must allow.
package protocol PermissionDescribing: Sendable {
    /// What a user must be allowed for the calls and workers of some queues.
    func permissions(for queues: [QueueName]) -> Finding
}

extension Duration {
    /// The span in words for findings: `0.25 ms`, `3.2 s`.
    package var asFound: String {
        let seconds = inSeconds
        func rounded(_ value: Double, _ digits: Double) -> Double { (value * digits).rounded() / digits }
        return seconds < 1 ? "\(rounded(seconds * 1000, 100)) ms" : "\(rounded(seconds, 10)) s"
    }
}
