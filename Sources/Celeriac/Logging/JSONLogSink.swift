public import CeleriacCore

/// Writes log lines for programs to the standard error stream: one JSON object a line.
///
/// The members are `time`, `level`, `label`, `message` and `metadata`, an object of texts. Each line is written whole,
/// and passwords in URLs are left out.
public struct JSONLogSink: LogSink {
    private let stream: any TextSink
    private let time: any TimeSource

    /// A sink.
    public init() {
        self.init(.process)
    }

    package init(_ streams: StandardStreams, time: any TimeSource = SystemTimeSource()) {
        stream = streams.error
        self.time = time
    }

    /// Writes one line.
    public func log(level: LogLevel, message: String, metadata: [(String, String)], label: String) {
        func text(_ value: String) -> [UInt8] { JSONText.string(Redaction.redacted(value)) }
        // Of equal keys the last counts, which is the nearest to the event; names in an object must be unique.
        let last = Dictionary(metadata.enumerated().map { ($1.0, $0) }) { _, later in later }
        let members = metadata.enumerated().filter { last[$1.0] == $0 }.map { ($1.0, text($1.1)) }
        let line = JSONText.object([
            ("time", JSONText.string(LogText.time(time.now))),
            ("level", JSONText.string(level.rawValue)),
            ("label", JSONText.string(label)),
            ("message", text(message)),
            ("metadata", JSONText.object(members)),
        ])
        stream.write(String(decoding: line, as: UTF8.self) + "\n")
    }
}
