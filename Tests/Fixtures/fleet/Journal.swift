import Celeriac
import Foundation

/// Notes executions in a file of the test's, so that they are counted independently of broker and result backend.
///
/// A line is one write to a file opened for appending, so lines of many processes do not mix and their order is the order
/// of events: `<event> <key> <pid> …`.
enum Journal {
    private static let file: Int32? = ProcessInfo.processInfo.environment["FLEET_LOG"].flatMap { path in
        let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        return file >= 0 ? file : nil
    }

    static func started(_ key: String, _ context: TaskContext) {
        write("started", key, String(context.attempt), String(context.isRedelivered), milliseconds())
    }

    static func finished(_ key: String) { write("finished", key, milliseconds()) }

    static func write(_ event: String, _ key: String, _ more: String...) {
        guard let file else { return }
        let line = ([event, key, String(getpid())] + more).joined(separator: " ") + "\n"
        let octets = Array(line.utf8)
        let written = octets.withUnsafeBytes { Foundation.write(file, $0.baseAddress, $0.count) }
        // A note that is missing would look like a lost task.
        precondition(written == octets.count, "cannot write to the journal: errno \(errno)")
    }

    private static func milliseconds() -> String { String(Int(Date().timeIntervalSince1970 * 1000)) }
}
