internal import Foundation
internal import Synchronization
internal import TestSupport

/// A process that a test has started; its output goes to files.
package final class ChildProcess: Sendable {
    /// How it ended.
    package enum End: Hashable, Sendable {
        case exit(Int32)
        case signal(Int32)
    }

    package let name: String
    package let pid: Int32
    private let outputPath: String
    private let errorPath: String
    private let state: State

    /// Apart from the object itself, because the termination handler outlives it.
    private final class State: Sendable {
        let end = Mutex<End?>(nil)
    }

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - environment: Added to this process's own.
    ///   - directory: Where the files of its output go.
    package init(
        _ name: String,
        _ executable: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        directory: String
    ) throws {
        self.name = name
        let stem = "\(directory)/\(name)-\(UUID().uuidString.prefix(8))"
        outputPath = stem + ".out"
        errorPath = stem + ".err"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try Self.file(outputPath)
        process.standardError = try Self.file(errorPath)
        let state = State()
        process.terminationHandler = { process in
            let end: End =
                process.terminationReason == .exit
                ? .exit(process.terminationStatus) : .signal(process.terminationStatus)
            state.end.withLock { $0 = end }
        }
        try Self.withAllSignals { try process.run() }
        self.state = state
        pid = process.processIdentifier
    }

    /// A process inherits the signals that the thread starting it blocks, and a thread of the pool blocks most: it would
    /// be deaf to SIGTERM, which servers and Python take for granted.
    private static func withAllSignals(_ start: () throws -> Void) rethrows {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try start()
    }

    private static func file(_ path: String) throws -> FileHandle {
        guard FileManager.default.createFile(atPath: path, contents: nil) else {
            throw NotInTime(description: "cannot create \(path)")
        }
        return try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    }

    /// How it ended; `nil` while it runs.
    package var end: End? { state.end.withLock { $0 } }

    /// Sends a signal, unless the process has ended: its number may be somebody else's by then.
    package func send(_ signal: Int32) {
        state.end.withLock { end in
            if end == nil { _ = kill(pid, signal) }
        }
    }

    /// Waits for its end.
    package func wait(within limit: Duration) async throws -> End {
        try await eventually(within: limit, every: .milliseconds(5), "\(name) (\(pid)) ends") { end != nil }
        guard let end else { throw NotInTime(description: "\(name) has not ended") }
        return end
    }

    /// Kills it, whatever it is doing.
    package func destroy() async {
        send(SIGKILL)
        _ = try? await wait(within: .seconds(10))
    }

    package var output: String { Self.text(outputPath) }
    package var errors: String { Self.text(errorPath) }

    private static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Its last words, for a failed test.
    package var transcript: String {
        let lines = (output + errors).split(separator: "\n").suffix(25).joined(separator: "\n  ")
        return "\(name) (\(pid)) \(end.map { "\($0)" } ?? "runs"):\n  \(lines)"
    }
}
