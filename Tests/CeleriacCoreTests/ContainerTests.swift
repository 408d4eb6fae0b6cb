import Testing

@testable import CeleriacCore

@Suite("Containers of the queues in memory")
struct ContainerTests {
    @Test("A heap gives its elements in order, however they came")
    func heapOrder() {
        var heap = Heap([5, 3, 9, 1])
        for number in [7, 2, 8, 2] { heap.insert(number) }
        var sorted: [Int] = []
        while let first = heap.popFirst() { sorted.append(first) }
        #expect(sorted == [1, 2, 2, 3, 5, 7, 8, 9])
        #expect(heap.isEmpty)
    }

    @Test("A queue keeps its order over many turns")
    func fifoOrder() {
        var queue = FIFO<Int>()
        var (next, expected) = (0, 0)
        for round in 0..<400 {
            for _ in 0..<(round % 7 + 1) {
                queue.append(next)
                next += 1
            }
            for _ in 0..<(round % 5) {
                if let first = queue.popFirst() {
                    #expect(first == expected)
                    expected += 1
                }
            }
            #expect(queue.count == next - expected)
        }
        #expect(queue.removeAll { $0.isMultiple(of: 2) }.allSatisfy { $0.isMultiple(of: 2) })
        while let odd = queue.popFirst() { #expect(!odd.isMultiple(of: 2)) }
        #expect(queue.isEmpty)
    }

    @Test("A slot's old key never finds its new value")
    func staleKey() {
        var table = SlotTable<String>()
        let first = table.insert("first")
        #expect(table.remove(first) == "first")
        let second = table.insert("second")
        #expect(first != second)
        #expect(table[first] == nil)
        #expect(table.remove(first) == nil)
        #expect(table[second] == "second")
        #expect(table[UInt64.max] == nil)
    }
}
