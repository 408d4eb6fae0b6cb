import Glibc
import Synchronization

/// Writes lines, and below them, on a terminal, one that changes.
final class Screen: Sendable {
    /// Whether a person watches; without one, progress is written as lines and nothing has colours.
    let isLive = isatty(STDOUT_FILENO) == 1
    private let progress = Mutex<String?>(nil)

    func write(_ line: String) {
        progress.withLock { progress in
            put(progress == nil ? "\(line)\n" : "\u{1B}[2K\r\(line)\n\(progress ?? "")")
        }
    }

    func show(progress text: String) {
        progress.withLock { progress in
            guard isLive else { return put("\(text)\n") }
            progress = text
            put("\u{1B}[2K\r\(text)")
        }
    }

    /// Takes the progress line away.
    func endProgress() {
        progress.withLock { progress in
            if progress != nil { put("\u{1B}[2K\r") }
            progress = nil
        }
    }

    private func put(_ text: String) {
        print(text, terminator: "")
        fflush(nil)
    }

    func bold(_ text: String) -> String { styled(text, 1) }
    func dim(_ text: String) -> String { styled(text, 2) }
    func green(_ text: String) -> String { styled(text, 32) }
    func red(_ text: String) -> String { styled(text, 31) }

    private func styled(_ text: String, _ code: Int) -> String {
        isLive && (getenv("NO_COLOR").map { $0.pointee == 0 } ?? true) ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
