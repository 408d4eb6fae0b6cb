/// Decides which of a host's addresses is tried when: "happy eyeballs", RFC 8305.
///
/// The families take turns, beginning with that of the first address; each attempt gets a head start, which a failure
/// ends early; the first to connect wins. Decides; touches nothing.
package struct ConnectRace<Instant: InstantProtocol> where Instant.Duration == Duration {
    package enum Action: Equatable {
        /// Begin to connect to the address of that index.
        case connect(Int)
        /// Give that attempt up: it took too long, or another has won.
        case abandon(Int)
        /// All attempts have failed.
        case lost
    }

    private let delay: Duration
    private let addressTimeout: Duration?
    private var untried: ArraySlice<Int>
    private var running: [(index: Int, since: Instant)] = []
    private var nextStart: Instant?
    private var isOver = false

    /// - Parameter families: Of each address, in the order of the name service, which has sorted them by RFC 6724.
    package init(families: [Int32], delay: Duration, addressTimeout: Duration?) {
        self.delay = max(delay, .milliseconds(10))  // RFC 8305 §5: the minimum
        self.addressTimeout = addressTimeout
        untried = Self.interleaved(families)[...]
    }

    private static func interleaved(_ families: [Int32]) -> [Int] {
        guard let first = families.first else { return [] }
        var preferred = families.indices.filter { families[$0] == first }[...]
        var others = families.indices.filter { families[$0] != first }[...]
        var order: [Int] = []
        while order.count < families.count {
            if let index = preferred.popFirst() { order.append(index) }
            if let index = others.popFirst() { order.append(index) }
        }
        return order
    }

    /// When to call ``tick(now:)``.
    package var deadline: Instant? {
        guard !isOver else { return nil }
        let starts = untried.isEmpty ? nil : nextStart
        let oldest = addressTimeout.flatMap { timeout in running.map { $0.since.advanced(by: timeout) }.min() }
        return [starts, oldest].compactMap { $0 }.min()
    }

    package mutating func start(now: Instant) -> [Action] {
        tryNext(now: now)
    }

    /// Time has passed.
    package mutating func tick(now: Instant) -> [Action] {
        guard !isOver else { return [] }
        var actions: [Action] = []
        if let addressTimeout {
            actions = running.filter { $0.since.advanced(by: addressTimeout) <= now }.map { .abandon($0.index) }
            running.removeAll { $0.since.advanced(by: addressTimeout) <= now }
        }
        let isDue = nextStart.map { $0 <= now } ?? false
        if isDue || running.isEmpty { actions += tryNext(now: now) }
        return actions
    }

    package mutating func failed(_ index: Int, now: Instant) -> [Action] {
        guard !isOver, running.contains(where: { $0.index == index }) else { return [] }
        running.removeAll { $0.index == index }
        return tryNext(now: now)
    }

    package mutating func connected(_ index: Int) -> [Action] {
        guard !isOver else { return [] }
        isOver = true
        return running.filter { $0.index != index }.map { .abandon($0.index) }
    }

    private mutating func tryNext(now: Instant) -> [Action] {
        guard let index = untried.popFirst() else {
            guard running.isEmpty else { return [] }
            isOver = true
            return [.lost]
        }
        running.append((index, now))
        nextStart = now.advanced(by: delay)
        return [.connect(index)]
    }
}
