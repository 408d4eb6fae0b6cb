/// One direction of a link: what has been read, and what is to be written.
struct Lane {
    enum Mode {
        case pass
        case blackhole
        case stopped
    }

    private struct Segment {
        var octets: [UInt8]
        var offset = 0
        var due: ContinuousClock.Instant?
        var isDribbled: Bool
    }

    /// What is kept at most before the lane reads no more.
    static let capacity = 256 << 10

    let direction: Direction
    var mode = Mode.pass
    var scanner: FrameScanner
    /// Octets read and not let through yet, from `inputStart` on: the beginning of a frame's head, or whatever came
    /// before the lane stopped.
    var input: [UInt8] = []
    var inputStart = 0
    /// How far within the current frame, and where half of it is.
    var frame: (head: FrameScanner.Head, passed: Int)?
    /// Octets that have been let through or swallowed.
    var passed = 0
    var sourceEnded = false
    var endForwarded = false

    private var delay: Duration?
    private var delayed = 0
    private var dribbled = 0
    /// Distances from here of the octets to be flipped, ascending, with what to flip.
    private var corruptions: [(distance: Int, mask: UInt8)] = []
    private var segments: [Segment] = []
    private(set) var pending = 0

    init(_ direction: Direction) {
        self.direction = direction
        scanner = FrameScanner(direction)
    }

    var unread: ArraySlice<UInt8> { input[inputStart...] }
    var wantsInput: Bool { !sourceEnded && mode != .stopped && pending + unread.count < Self.capacity }
    var isDrained: Bool { unread.isEmpty && pending == 0 }

    enum Step {
        /// Nothing can be let through before more has come.
        case wait
        /// A frame begins; none of it has been let through.
        case frame(FrameScanner.Head)
        case octets
    }

    mutating func nextStep() -> Step {
        guard mode != .stopped, inputStart < input.count else { return .wait }
        guard scanner.isBetweenFrames else { return .octets }
        switch scanner.next(in: unread) {
        case .incomplete where !sourceEnded: return .wait
        case .frame(let head):
            frame = (head, 0)
            return .frame(head)
        case .incomplete, .plain:
            frame = nil
            return .octets
        }
    }

    /// Lets octets through, at most so many and no further than the middle or the end of a frame.
    ///
    /// - Returns: How many, and the frame of which that was the middle or the end.
    mutating func step(
        limit: Int,
        now: ContinuousClock.Instant
    ) -> (count: Int, middle: FrameScanner.Head?, end: FrameScanner.Head?) {
        var count = min(limit, scanner.available(input.count - inputStart))
        let head = frame?.head
        var isMiddle = false
        if let frame, frame.passed < frame.head.octets / 2 {
            count = min(count, frame.head.octets / 2 - frame.passed)
            isMiddle = frame.passed + count == frame.head.octets / 2
        }
        pass(count, now: now)
        frame?.passed += count
        let isEnd = scanner.consume(count)
        if isEnd { frame = nil }
        return (count, isMiddle ? head : nil, isEnd ? head : nil)
    }

    /// Forgets the octets that have been consumed.
    mutating func compact() {
        input.removeSubrange(..<inputStart)
        inputStart = 0
    }

    mutating func apply(_ fault: Fault, random: inout SeededGenerator) {
        switch fault {
        case .pass:
            mode = .pass
            (delay, delayed, dribbled, corruptions) = (nil, 0, 0, [])
        case .cut: break
        case .blackhole: mode = .blackhole
        case .stopReading: mode = .stopped
        case .delay(let duration, let octets): (delay, delayed) = (duration, octets)
        case .dribble(let octets): dribbled = octets
        case .corrupt(let octets, let range):
            var distances: Set<Int> = []
            while distances.count < min(octets, range) { distances.insert(Int.random(in: 0..<range, using: &random)) }
            corruptions = distances.sorted().map { ($0, UInt8.random(in: 1...255, using: &random)) }
        }
    }

    /// Lets the first octets of the input through, with what the lane does to them.
    private mutating func pass(_ count: Int, now: ContinuousClock.Instant) {
        var octets = Array(input[inputStart..<(inputStart + count)])
        inputStart += count
        passed += count
        while let next = corruptions.first, next.distance < count {
            octets[next.distance] ^= next.mask
            corruptions.removeFirst()
        }
        for index in corruptions.indices { corruptions[index].distance -= count }
        guard mode != .blackhole else { return }
        var rest = octets[...]
        while !rest.isEmpty {
            var length = rest.count
            if dribbled > 0 { length = min(length, dribbled) }
            if delayed > 0 { length = min(length, delayed) }
            append(rest.prefix(length), now: now)
            rest = rest.dropFirst(length)
        }
    }

    private mutating func append(_ octets: ArraySlice<UInt8>, now: ContinuousClock.Instant) {
        let due = delayed > 0 ? delay.map { now + $0 } : nil
        let isDribbled = dribbled > 0
        if isDribbled, dribbled != .max { dribbled -= octets.count }
        if delayed > 0, delayed != .max { delayed -= octets.count }
        pending += octets.count
        if due == nil, let last = segments.last, last.due == nil, last.isDribbled == isDribbled,
            last.octets.count < 64 << 10
        {
            segments[segments.count - 1].octets += octets
        } else {
            segments.append(Segment(octets: Array(octets), due: due, isDribbled: isDribbled))
        }
    }

    /// When the next octets may be written; `nil` if there are none.
    var nextDue: ContinuousClock.Instant?? {
        segments.first.map(\.due)
    }

    /// Writes what is due; a dribbling lane one octet at most, so that the reader can see each by itself.
    ///
    /// - Returns: False if the sink is gone.
    mutating func write(to sink: Int32, now: ContinuousClock.Instant, all: Bool = false) -> Bool {
        while let first = segments.first {
            if let due = first.due, due > now, !all { return true }
            let isSingle = first.isDribbled && !all
            let length = isSingle ? 1 : first.octets.count - first.offset
            let written = Socket.write(first.octets[first.offset..<(first.offset + length)], to: sink)
            switch written {
            case .gone: return false
            case .full: return true
            case .some(let count):
                pending -= count
                segments[0].offset += count
                if segments[0].offset == segments[0].octets.count { segments.removeFirst() }
                if isSingle || count < length { return true }
            }
        }
        return true
    }

    mutating func dropOutput() {
        segments = []
        pending = 0
    }
}
