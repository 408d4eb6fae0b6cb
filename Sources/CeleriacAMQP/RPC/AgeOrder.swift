internal import CeleriacCore

/// Tasks in the order in which they were entered, each once; those that are taken out early leave their place for a while.
struct AgeOrder: Sendable {
    private var serials: [TaskID: UInt64] = [:]
    private var line: [(serial: UInt64, task: TaskID)] = []
    private var head = 0
    private var lastSerial: UInt64 = 0

    var count: Int { serials.count }

    func contains(_ task: TaskID) -> Bool { serials[task] != nil }

    /// Enters a task at the end, unless it is there.
    mutating func append(_ task: TaskID) {
        guard serials[task] == nil else { return }
        lastSerial += 1
        serials[task] = lastSerial
        line.append((lastSerial, task))
        if line.count > 2 * serials.count + 1024 { compact() }
    }

    /// Takes a task out; false if it was not there.
    mutating func remove(_ task: TaskID) -> Bool { serials.removeValue(forKey: task) != nil }

    /// Takes out the task that was entered first.
    mutating func popOldest() -> TaskID? {
        while head < line.count {
            let (serial, task) = line[head]
            head += 1
            guard serials[task] == serial else { continue }
            serials[task] = nil
            return task
        }
        compact()
        return nil
    }

    /// Drops the places of those that are gone.
    private mutating func compact() {
        line = line[head...].filter { serials[$0.task] == $0.serial }
        head = 0
    }
}
