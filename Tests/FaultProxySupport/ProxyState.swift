internal import Glibc

/// Everything a proxy knows; guarded by its lock, changed by its thread and by commands.
struct ProxyState {
    struct Armed {
        let id: Int
        let fault: Fault
        let directions: [Direction]
        let point: FaultPoint
        var remaining: Int
    }

    /// What a descriptor that is polled belongs to.
    enum Polled {
        case wake
        case listener
        case side(link: Int, source: Direction)
    }

    var upstream: UInt16
    let listener: Int32
    var arrivals = FaultProxy.Arrivals.accept
    var isStopping = false
    var links: [Int: Link] = [:]
    var lastLink = 0
    var armed: [Armed] = []
    var lastArmed = 0
    var occurrences: [FaultOccurrence] = []
    var rejected = 0
    var ofNewLinks: [(fault: Fault, directions: [Direction])] = []
    var recordings: [Recording] = []
    var recordingLimit: Int
    var idleLimit: Duration?
    var random: SeededGenerator
    private var chunk = [UInt8](repeating: 0, count: 64 << 10)

    init(listener: Int32, upstream: UInt16, seed: UInt64, recordingLimit: Int) {
        self.listener = listener
        self.upstream = upstream
        self.recordingLimit = recordingLimit
        random = SeededGenerator(seed: seed)
    }

    // MARK: The loop

    /// What to wait for, and for how many milliseconds at most.
    func interests(wake: Int32) -> (descriptors: [pollfd], owners: [Polled], timeout: Int32) {
        var descriptors = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
        var owners = [Polled.wake]
        var due: ContinuousClock.Instant?
        if takesArrivals, links.count < 1000 {
            descriptors.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
            owners.append(.listener)
        }
        let now = ContinuousClock.now
        for link in links.values {
            for direction in Direction.allCases {
                var events: Int32 = 0
                if link.isConnected {
                    if link[direction].wantsInput { events |= POLLIN }
                    if let next = link[direction.opposite].nextDue {
                        if let next, next > now { due = min(due ?? next, next) } else { events |= POLLOUT }
                    }
                } else if direction == .fromServer {
                    events = POLLOUT
                }
                let descriptor = link.source(direction)
                // A side that has ended and gets nothing would only report its end again and again.
                guard descriptor >= 0, events != 0 || !link[direction].sourceEnded else { continue }
                descriptors.append(pollfd(fd: descriptor, events: Int16(events), revents: 0))
                owners.append(.side(link: link.number, source: direction))
            }
            if let idleLimit { due = min(due ?? .now + idleLimit, link.lastActivity + idleLimit) }
        }
        let wait = due.map { ($0 - now) / .milliseconds(1) }.map { Int32(min(1000, max(1, $0.rounded(.up)))) }
        return (descriptors, owners, wait ?? -1)
    }

    /// Resets the links over which nothing has come for too long.
    mutating func endIdle() {
        guard let idleLimit else { return }
        let limit = ContinuousClock.now - idleLimit
        for link in links.values where link.lastActivity <= limit {
            apply(.cut(.reset), to: Direction.allCases, of: link.number, at: nil)
        }
    }

    mutating func handle(_ owner: Polled, _ events: Int32) {
        switch owner {
        case .wake: break
        case .listener: acceptAll()
        case .side(let number, let source):
            guard let link = links[number] else { return }
            guard link.isConnected else { return connected(number, source, events) }
            if events & POLLOUT != 0 { write(number, source.opposite) }
            guard let link = links[number], link.source(source) >= 0 else { return }
            if link[source].wantsInput {
                if events & (POLLIN | POLLHUP | POLLERR) != 0 { read(number, source) }
            } else if events & (POLLERR | POLLHUP) != 0 {
                failed(number, source)
            }
        }
    }

    private var takesArrivals: Bool { arrivals == .accept || arrivals == .reset }

    private mutating func acceptAll() {
        // Who came while it was decided otherwise was waited for before that.
        while takesArrivals {
            let client = Socket.accept(listener)
            guard client >= 0 else { return }
            let server = arrivals == .accept ? Socket.connect(to: upstream) : -1
            guard server >= 0 else {
                rejected += 1
                Socket.reset(client)
                continue
            }
            lastLink += 1
            var link = Link(number: lastLink, client: client, server: server)
            for (fault, directions) in ofNewLinks {
                for direction in directions { link[direction].apply(fault, random: &random) }
            }
            links[lastLink] = link
            if recordingLimit > 0 { recordings.append(Recording(link: lastLink)) }
        }
    }

    private mutating func connected(_ number: Int, _ source: Direction, _ events: Int32) {
        guard let link = links[number] else { return }
        if source == .toServer {
            // The client left before there was a server.
            if events & (POLLERR | POLLHUP) != 0 { end(number, .reset) }
        } else if Socket.error(of: link.server) != 0 {
            end(number, .reset)
        } else if events & POLLOUT != 0 {
            links[number]?.isConnected = true
        }
    }

    private mutating func read(_ number: Int, _ direction: Direction) {
        guard let descriptor = links[number]?.source(direction) else { return }
        let count = Glibc.read(descriptor, &chunk, chunk.count)
        if count > 0 {
            record(chunk[..<count], number, direction)
            links[number]?.lastActivity = .now
            links[number]?[direction].input += chunk[..<count]
        } else if count == 0 {
            links[number]?[direction].sourceEnded = true
        } else if errno != EAGAIN, errno != EINTR {
            return failed(number, direction)
        } else {
            return
        }
        advance(number, direction)
    }

    private mutating func record(_ octets: ArraySlice<UInt8>, _ number: Int, _ direction: Direction) {
        guard recordingLimit > 0, let index = recordings.firstIndex(where: { $0.link == number }) else { return }
        let kept = octets.prefix(recordingLimit)
        recordingLimit -= kept.count
        switch direction {
        case .toServer: recordings[index].toServer += kept
        case .fromServer: recordings[index].fromServer += kept
        }
        if recordingLimit == 0 {
            for index in recordings.indices { recordings[index].isTruncated = true }
        }
    }

    private mutating func write(_ number: Int, _ direction: Direction) {
        guard let sink = links[number]?.sink(direction), sink >= 0 else { return }
        if links[number]?[direction].write(to: sink, now: .now) == false { return failed(number, direction.opposite) }
        settleEnd(number, direction)
    }

    /// A connection is gone without an orderly end; the other side learns of it unless nothing gets there.
    private mutating func failed(_ number: Int, _ side: Direction) {
        guard let link = links[number] else { return }
        guard link[side].mode == .blackhole else { return end(number, .reset) }
        Glibc.close(link.source(side))
        if side == .toServer { links[number]?.client = -1 } else { links[number]?.server = -1 }
        links[number]?[side].sourceEnded = true
        links[number]?[side.opposite].dropOutput()
        links[number]?[side.opposite].mode = .blackhole
        settleEnd(number, side)
    }

    /// Passes the end of a stream on, and forgets a link that both sides have ended.
    private mutating func settleEnd(_ number: Int, _ direction: Direction) {
        guard let link = links[number] else { return }
        let lane = link[direction]
        if lane.sourceEnded, lane.isDrained, lane.mode == .pass, !lane.endForwarded {
            links[number]?[direction].endForwarded = true
            shutdown(link.sink(direction), Int32(SHUT_WR))
        }
        let isOver = Direction.allCases.allSatisfy { direction in
            guard let lane = links[number]?[direction] else { return true }
            return lane.sourceEnded && (lane.endForwarded || lane.mode == .blackhole)
        }
        if isOver { end(number, .finish) }
    }

    mutating func end(_ number: Int, _ cut: Fault.Cut) {
        guard let link = links.removeValue(forKey: number) else { return }
        for descriptor in [link.client, link.server] where descriptor >= 0 {
            switch cut {
            case .reset: Socket.reset(descriptor)
            case .finish: Glibc.close(descriptor)
            }
        }
    }

    // MARK: Letting octets through

    /// Lets through what has come, stopping at each point where a fault is armed.
    mutating func advance(_ number: Int, _ direction: Direction) {
        // The lane is never copied out: its buffers would be, too, with the next change.
        loop: while let next = links[number]?[direction].nextStep() {
            switch next {
            case .wait: break loop
            case .frame(let head): fire(number, direction) { $0 == head.method.map { .method($0, .before) } }
            case .octets:
                let limit = armed.lazy.filter { $0.point.direction == direction && $0.point.event == .octets }
                    .map(\.remaining).min()
                guard let step = links[number]?[direction].step(limit: limit ?? .max, now: .now) else { break }
                fire(number, direction, by: step.count) { $0 == .octets }
                if let method = step.middle?.method { fire(number, direction) { $0 == .method(method, .within) } }
                if let head = step.end {
                    fire(number, direction) { $0 == .frames || $0 == head.method.map { .method($0, .after) } }
                }
            }
        }
        links[number]?[direction].compact()
        write(number, direction)
        settleEnd(number, direction)
    }

    // MARK: Faults

    private mutating func fire(
        _ number: Int,
        _ direction: Direction,
        by count: Int = 1,
        where matches: (FaultPoint.Event) -> Bool
    ) {
        guard !armed.isEmpty else { return }
        var due: [Armed] = []
        for index in armed.indices where armed[index].point.direction == direction && matches(armed[index].point.event)
        {
            armed[index].remaining -= count
            if armed[index].remaining <= 0 { due.append(armed[index]) }
        }
        guard !due.isEmpty else { return }
        armed.removeAll { $0.remaining <= 0 }
        for armed in due { apply(armed.fault, to: armed.directions, of: number, at: armed.point) }
    }

    mutating func apply(_ fault: Fault, to directions: [Direction], of number: Int, at point: FaultPoint?) {
        guard let link = links[number] else { return }
        occurrences.append(
            FaultOccurrence(
                fault: fault,
                directions: directions,
                link: number,
                point: point,
                octets: Direction.allCases.map { link[$0].passed }
            )
        )
        if case .cut(let cut) = fault {
            for direction in Direction.allCases where link.sink(direction) >= 0 && link.isConnected {
                _ = links[number]?[direction].write(to: link.sink(direction), now: .now, all: true)
            }
            return end(number, cut)
        }
        for direction in directions { links[number]?[direction].apply(fault, random: &random) }
    }

    /// Lets go on what had stopped.
    mutating func heal() {
        for number in links.keys.sorted() {
            for direction in Direction.allCases {
                links[number]?[direction].apply(.pass, random: &random)
            }
            for direction in Direction.allCases { advance(number, direction) }
        }
    }
}
