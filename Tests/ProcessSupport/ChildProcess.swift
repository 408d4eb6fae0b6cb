internal import CShims
internal import Foundation
internal import Synchronization

/// A process that a test has started; its output goes to files.
///
/// Not Foundation's `Process`: that one learns of an end when the last copy of a descriptor is closed, and children that
/// are started at the same time inherit each other's. The end of a process would be told when its neighbours end.
package final class ChildProcess: Sendable {
    /// How it ended.
    package enum End: Hashable, Sendable {
        case exit(Int32)
        case signal(Int32)
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package let name: String
    package let pid: Int32
    private let outputPath: String
    private let errorPath: String
    private let state: State

    /// Apart from the object itself, because the thread that waits for the end outlives it.
    private final class State: Sendable {
        let end = Mutex<End?>(nil)
    }

    /// Starts a program, without standard input and with no descriptor of this process.
    ///
    /// - Parameters:
    ///   - environment: Added to this process's own, or instead of it.
    ///   - directory: Where the files of its output go.
    package init(
        _ name: String,
        _ executable: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        inheritsEnvironment: Bool = true,
        directory: String
    ) throws {
        self.name = name
        let stem = "\(directory)/\(name)-\(UUID().uuidString.prefix(8))"
        outputPath = stem + ".out"
        errorPath = stem + ".err"
        let inherited = inheritsEnvironment ? ProcessInfo.processInfo.environment : [:]
        let pid = try Self.spawn(
            [executable] + arguments,
            environment: inherited.merging(environment) { $1 }.map { "\($0)=\($1)" },
            output: outputPath,
            errors: errorPath
        )
        let state = State()
        self.pid = pid
        self.state = state
        BlockingThread.detach {
            // Only seen at first: until it is noted, the number must not become somebody else's.
            var seen = siginfo_t()
            while waitid(P_PID, id_t(pid), &seen, WEXITED | WNOWAIT) != 0, errno == EINTR {}
            state.end.withLock { end in
                var status: Int32 = 0
                while waitpid(pid, &status, 0) < 0, errno == EINTR {}
                let signal = status & 0x7F
                end = signal == 0 ? .exit((status >> 8) & 0xFF) : .signal(signal)
            }
        }
    }

    private static func spawn(
        _ command: [String],
        environment: [String],
        output: String,
        errors: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        for (descriptor, path) in [(STDOUT_FILENO, output), (STDERR_FILENO, errors)] {
            posix_spawn_file_actions_addopen(&actions, descriptor, path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600)
        }
        celeriac_spawn_closes_from(&actions, STDERR_FILENO + 1)

        // A process inherits the signals that the thread starting it blocks, and a thread of the pool blocks most: it
        // would be deaf to SIGTERM, which servers and Python take for granted.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let (words, variables) = (command.map { strdup($0) } + [nil], environment.map { strdup($0) } + [nil])
        defer { for text in words + variables { free(text) } }
        var pid: pid_t = 0
        let error = posix_spawn(&pid, command[0], &actions, &attributes, words, variables)
        guard error == 0 else {
            throw Failure(description: "cannot start \(command[0]): \(String(cString: strerror(error)))")
        }
        return pid
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
        let deadline = ContinuousClock.now + limit
        while true {
            if let end { return end }
            guard ContinuousClock.now < deadline else {
                throw Failure(description: "not within \(limit): \(name) (\(pid)) ends")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Blocks the calling thread until its end.
    package func waitBlocking() -> End {
        while true {
            if let end { return end }
            usleep(1000)
        }
    }

    /// Kills it, whatever it is doing.
    package func destroy() async {
        send(SIGKILL)
        // Also for a test that was cancelled.
        await Task { _ = try? await wait(within: .seconds(10)) }.value
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
