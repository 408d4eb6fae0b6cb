internal import Glibc
internal import Synchronization

/// Takes text for somebody to read.
package protocol TextSink: Sendable {
    /// Writes a text whole: never interleaved with another writer's of this process.
    func write(_ text: String)
}

/// Where a program writes: data to one stream, everything about the program itself to the other.
package struct StandardStreams: Sendable {
    /// For data alone, so that it can be piped.
    package let output: any TextSink
    /// For logs, banners, errors.
    package let error: any TextSink
    /// Whether a person watches ``error``.
    package let isErrorTerminal: Bool

    package init(output: any TextSink, error: any TextSink, isErrorTerminal: Bool = false) {
        self.output = output
        self.error = error
        self.isErrorTerminal = isErrorTerminal
    }

    /// The streams of this process.
    package static let process = StandardStreams(
        output: DescriptorSink(STDOUT_FILENO),
        error: DescriptorSink(STDERR_FILENO),
        isErrorTerminal: isatty(STDERR_FILENO) == 1
    )
}

/// Writes to a file descriptor.
package final class DescriptorSink: TextSink {
    private let descriptor: Int32
    private let turn = Mutex(())

    package init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    package func write(_ text: String) {
        var text = text
        turn.withLock { _ in
            text.withUTF8 { octets in
                var rest = octets[...]
                while !rest.isEmpty {
                    let written = Glibc.write(descriptor, UnsafeBufferPointer(rebasing: rest).baseAddress, rest.count)
                    if written > 0 {
                        rest = rest.dropFirst(written)
                    } else if errno == EAGAIN {
                        // The other end shares a non-blocking terminal or pipe; wait until it takes more.
                        var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                        guard poll(&ready, 1, 1000) > 0 else { return }
                    } else if errno != EINTR {
                        return  // nobody reads any more, and there is nowhere to say so
                    }
                }
            }
        }
    }
}
