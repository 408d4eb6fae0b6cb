public import CeleriacCore
internal import FoundationEssentials

/// Writes log lines for people to the standard error stream: time, level, message, then `key=value`.
///
/// Each line is written whole. Control characters are escaped, so that what a task says of itself can neither forge a
/// line nor drive the terminal, and passwords in URLs are left out.
public struct HumanLogSink: LogSink {
    private let stream: any TextSink
    private let isColoured: Bool
    private let time: any TimeSource

    /// A sink that uses colours if the stream is a terminal and the variable `NO_COLOR` is not set.
    public init() {
        self.init(.process, isColoured: Self.wantsColour(.process, ProcessInfo.processInfo.environment))
    }

    package init(_ streams: StandardStreams, isColoured: Bool, time: any TimeSource = SystemTimeSource()) {
        stream = streams.error
        self.isColoured = isColoured
        self.time = time
    }

    package static func wantsColour(_ streams: StandardStreams, _ variables: [String: String]) -> Bool {
        // https://no-color.org: present and not empty, whatever its value.
        streams.isErrorTerminal && (variables["NO_COLOR"] ?? "").isEmpty
    }

    /// Writes one line.
    public func log(level: LogLevel, message: String, metadata: [(String, String)], label: String) {
        var line = styled(LogText.time(time.now), .dim) + " "
        line += styled(LogText.padded(level.rawValue.uppercased(), to: 8), .of(level)) + " "
        line += LogText.visible(message)
        for (key, value) in metadata {
            line += " " + styled(LogText.visible(key) + "=", .dim) + LogText.quotedIfNeeded(value)
        }
        stream.write(line + "\n")
    }

    private enum Style: String {
        case plain = "0"
        case dim = "2"
        case green = "32"
        case cyan = "36"
        case yellow = "33"
        case red = "31"
        case boldRed = "1;31"

        static func of(_ level: LogLevel) -> Style {
            switch level {
            case .trace, .debug: .dim
            case .info: .green
            case .notice: .cyan
            case .warning: .yellow
            case .error: .red
            case .critical: .boldRed
            }
        }
    }

    private func styled(_ text: String, _ style: Style) -> String {
        isColoured ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }
}
