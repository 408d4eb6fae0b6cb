/// A first-in, first-out queue: both ends in amortised constant time, memory following its length.
struct FIFO<Element> {
    private var storage: [Element?] = []
    private var head = 0

    init() {}

    var count: Int { storage.count - head }
    var isEmpty: Bool { head == storage.count }

    mutating func append(_ element: Element) { storage.append(element) }

    mutating func popFirst() -> Element? {
        guard head < storage.count else { return nil }
        let element = storage[head].take()
        head += 1
        if head == storage.count {
            storage.removeAll(keepingCapacity: storage.count <= 1024)
            head = 0
        } else if head >= 64, head * 2 >= storage.count {
            storage.removeFirst(head)
            head = 0
        }
        return element
    }

    /// Changes the first element in place.
    mutating func updateFirst<R>(_ body: (inout Element) -> R) -> R? {
        guard head < storage.count, var element = storage[head].take() else { return nil }
        defer { storage[head] = element }
        return body(&element)
    }

    /// Changes each element in place, and drops those for which `body` returns false.
    mutating func filter(_ body: (inout Element) -> Bool) {
        var kept = FIFO()
        kept.storage.reserveCapacity(count)
        while var element = popFirst() {
            if body(&element) { kept.append(element) }
        }
        self = kept
    }

    mutating func removeAll() -> [Element] {
        defer { self = FIFO() }
        return storage[head...].compactMap { $0 }
    }
}

extension FIFO: Sendable where Element: Sendable {}
