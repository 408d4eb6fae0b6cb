/// A queue with constant-time access at both ends and by position.
package struct RingBuffer<Element> {
    private var slots: ContiguousArray<Element?> = []
    private var head = 0
    package private(set) var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }
    package var first: Element? { isEmpty ? nil : slots[head] }

    package mutating func append(_ element: Element) {
        if count == slots.count { grow() }
        slots[(head + count) & (slots.count - 1)] = element
        count += 1
    }

    package mutating func prepend(_ element: Element) {
        if count == slots.count { grow() }
        head = (head + slots.count - 1) & (slots.count - 1)
        slots[head] = element
        count += 1
    }

    package mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = slots[head].take()
        head = (head + 1) & (slots.count - 1)
        count -= 1
        return element
    }

    /// The element at a distance from the first, 0 through `count - 1`.
    package subscript(offset: Int) -> Element {
        get {
            guard offset < count, let element = slots[(head + offset) & (slots.count - 1)] else {
                preconditionFailure("offset \(offset) is outside a ring buffer of \(count)")
            }
            return element
        }
        set {
            precondition(offset < count, "offset \(offset) is outside a ring buffer of \(count)")
            slots[(head + offset) & (slots.count - 1)] = newValue
        }
    }

    /// Takes all elements, in order.
    package mutating func removeAll() -> [Element] {
        var elements: [Element] = []
        elements.reserveCapacity(count)
        while let element = popFirst() { elements.append(element) }
        slots = []
        head = 0
        return elements
    }

    /// Removes the first element that matches; the order of the others stays.
    package mutating func removeFirst(where matches: (Element) -> Bool) -> Element? {
        guard let index = (0..<count).first(where: { matches(self[$0]) }) else { return nil }
        let element = self[index]
        for later in index + 1..<max(count, index + 1) { self[later - 1] = self[later] }
        slots[(head + count - 1) & (slots.count - 1)] = nil
        count -= 1
        return element
    }

    private mutating func grow() {
        var larger = ContiguousArray<Element?>()
        larger.reserveCapacity(max(8, 2 * slots.count))
        for offset in 0..<count { larger.append(slots[(head + offset) & (slots.count - 1)].take()) }
        // The size stays a power of two, so that positions wrap with a mask.
        larger.append(contentsOf: repeatElement(nil, count: max(8, 2 * slots.count) - count))
        slots = larger
        head = 0
    }
}

extension RingBuffer: Sendable where Element: Sendable {}
