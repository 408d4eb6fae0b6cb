internal import CeleriacCore

/// How a program ends; the numbers above 2 are those of `sysexits.h`.
package enum ExitCode: Int32, Sendable, CaseIterable {
    case success = 0
    case failure = 1
    case configuration = 2
    case usage = 64
    case unavailable = 69
    case defect = 70
    case notEnded = 75

    /// The exit code of a driver's error.
    package init(_ error: CeleriacError) {
        switch error.code {
        case .accessDenied, .notFound, .configuration: self = .configuration
        case .unavailable, .timedOut, .connectionLost, .blocked: self = .unavailable
        case .internalError: self = .defect
        default: self = .failure
        }
    }

    /// What the code means, for help texts.
    var meaning: String {
        switch self {
        case .success: "done"
        case .failure: "the task failed, or the program could not go on"
        case .configuration: "wrong settings or credentials; trying again does not help"
        case .usage: "wrong usage of the command line"
        case .unavailable: "the broker or result backend cannot be reached"
        case .defect: "a defect: the broker ended one connection after the other for errors"
        case .notEnded: "the task has not ended, or not in time"
        }
    }
}
