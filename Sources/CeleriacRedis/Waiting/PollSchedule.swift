internal import CeleriacCore

/// When to look at records that are waited for, in case their announcement was lost: decisions alone, time is an argument.
///
/// The longer a wait lasts, the rarer the looks: each is followed by a longer pause, up to the longest. All that pause
/// equally long stand in one line, in the order of their times, so that nothing is ever searched.
struct PollSchedule: Sendable {
    typealias ID = UInt64
    typealias Instant = ContinuousClock.Instant

    struct Settings: Sendable {
        /// Before the first look; most waits are over by then.
        var first: Duration = .seconds(1)
        /// Between looks, at most.
        var longest: Duration = .seconds(30)
    }

    private struct Line {
        let pause: Duration
        private var places: [(due: Instant, id: ID)] = []
        private var head = 0

        init(pause: Duration) { self.pause = pause }

        var first: (due: Instant, id: ID)? { head < places.count ? places[head] : nil }

        mutating func append(_ id: ID, now: Instant) { places.append((now + pause, id)) }

        mutating func removeFirst() {
            head += 1
            guard head >= 64, head * 2 >= places.count else { return }
            places.removeFirst(head)
            head = 0
        }
    }

    private var tasks: [ID: TaskID] = [:]
    private var lines: [Line]
    private var lastID: ID = 0

    init(_ settings: Settings) {
        var pauses = [max(.milliseconds(1), settings.first)]
        while let last = pauses.last, last < settings.longest { pauses.append(min(last * 2, settings.longest)) }
        lines = pauses.map { Line(pause: $0) }
    }

    /// Who is waited for.
    var count: Int { tasks.count }

    mutating func join(_ task: TaskID, now: Instant) -> ID {
        lastID += 1
        tasks[lastID] = task
        lines[0].append(lastID, now: now)
        return lastID
    }

    /// Its place in line is passed over when its turn comes.
    mutating func leave(_ id: ID) { tasks[id] = nil }

    /// Those to look at now, those that wait longest first; their next look is planned.
    mutating func due(now: Instant, atMost limit: Int) -> [(id: ID, task: TaskID)] {
        var due: [(id: ID, task: TaskID)] = []
        for index in lines.indices.reversed() {
            while due.count < limit, let first = lines[index].first, first.due <= now {
                lines[index].removeFirst()
                guard let task = tasks[first.id] else { continue }
                due.append((first.id, task))
                lines[min(index + 1, lines.count - 1)].append(first.id, now: now)
            }
        }
        return due
    }

    /// When there is something to look at next.
    var next: Instant? { lines.compactMap(\.first?.due).min() }
}
