/// How serious a log line is.
public enum LogLevel: String, Sendable, Comparable, CaseIterable {
    /// Each step, for finding defects.
    case trace
    /// What a developer wants while working.
    case debug
    /// What an operator wants to see once.
    case info
    /// Worth knowing, nothing wrong.
    case notice
    /// Something is wrong that nothing else reports.
    case warning
    /// An operation failed.
    case error
    /// The program cannot go on.
    case critical

    /// From ``trace`` up to ``critical``.
    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.severity < right.severity }

    private var severity: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// Where log lines go.
///
/// The verbs and the order of arguments are swift-log's, so that forwarding to it takes a few lines.
public protocol LogSink: Sendable {
    /// Writes one line; called from any thread.
    func log(level: LogLevel, message: String, metadata: [(String, String)], label: String)
}

/// Writes log lines with metadata that stays the same over many of them.
///
/// A message is a constant text; what varies goes into the metadata.
public struct TaskLogger: Sendable {
    /// Names the part of the program that logs, such as `celeriac.worker`.
    public let label: String
    /// Lines below this level are not written.
    public var level: LogLevel
    /// Added to every line.
    public var metadata: [(String, String)]
    private let sink: any LogSink

    /// A logger that writes to a sink.
    public init(label: String, level: LogLevel = .info, metadata: [(String, String)] = [], sink: any LogSink) {
        self.label = label
        self.level = level
        self.metadata = metadata
        self.sink = sink
    }

    /// A logger that writes nothing.
    public static let silent = TaskLogger(label: "", level: .critical, sink: NoSink())

    /// The same logger under another label.
    public func labelled(_ label: String) -> TaskLogger {
        TaskLogger(label: label, level: level, metadata: metadata, sink: sink)
    }

    /// The same logger with more metadata on every line.
    public func with(_ extra: (String, String)...) -> TaskLogger {
        TaskLogger(label: label, level: level, metadata: metadata + extra, sink: sink)
    }

    /// Writes a line of any level.
    public func log(
        level: LogLevel,
        _ message: @autoclosure () -> String,
        metadata extra: @autoclosure () -> [(String, String)] = []
    ) {
        guard level >= self.level else { return }
        sink.log(level: level, message: message(), metadata: metadata + extra(), label: label)
    }

    /// Writes a line for finding defects.
    public func trace(_ message: @autoclosure () -> String, metadata: @autoclosure () -> [(String, String)] = []) {
        log(level: .trace, message(), metadata: metadata())
    }

    /// Writes a line for developers.
    public func debug(_ message: @autoclosure () -> String, metadata: @autoclosure () -> [(String, String)] = []) {
        log(level: .debug, message(), metadata: metadata())
    }

    /// Writes a line for operators.
    public func info(_ message: @autoclosure () -> String, metadata: @autoclosure () -> [(String, String)] = []) {
        log(level: .info, message(), metadata: metadata())
    }

    /// Writes a line worth knowing.
    public func notice(_ message: @autoclosure () -> String, metadata: @autoclosure () -> [(String, String)] = []) {
        log(level: .notice, message(), metadata: metadata())
    }

    /// Writes a line about something wrong.
    public func warning(_ message: @autoclosure () -> String, metadata: @autoclosure () -> [(String, String)] = []) {
        log(level: .warning, message(), metadata: metadata())
    }

    /// Writes a line about a failed operation.
    public func error(_ message: @autoclosure () -> String, metadata: @autoclosure () -> [(String, String)] = []) {
        log(level: .error, message(), metadata: metadata())
    }

    private struct NoSink: LogSink {
        func log(level: LogLevel, message: String, metadata: [(String, String)], label: String) {}
    }
}
