// Dispatch's own classes are thread-safe but not marked so.
@preconcurrency internal import Dispatch
internal import Glibc

/// The signals that programs of this library react to.
package enum ProcessSignal: Int32, Sendable, CaseIterable {
    case hangup = 1
    case interrupt = 2
    case quit = 3
    case terminate = 15
}

/// Delivers a process's signals as values, in place of their default action, until it is dropped.
package struct ProcessSignals: AsyncSequence, Sendable {
    private let stream: AsyncStream<ProcessSignal>

    /// From here on the signals no longer end the process.
    package init(_ signals: [ProcessSignal]) {
        stream = AsyncStream(bufferingPolicy: .bufferingOldest(16)) { continuation in
            let sources = signals.map { signal in
                Glibc.signal(signal.rawValue, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: signal.rawValue, queue: .global())
                source.setEventHandler { continuation.yield(signal) }
                source.resume()
                return source
            }
            continuation.onTermination = { _ in for source in sources { source.cancel() } }
        }
    }

    package func makeAsyncIterator() -> AsyncStream<ProcessSignal>.Iterator {
        stream.makeAsyncIterator()
    }
}
