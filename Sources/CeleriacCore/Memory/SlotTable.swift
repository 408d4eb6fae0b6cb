/// Values under keys that are handed out in turn, without hashing.
///
/// A key holds the slot's index and how often the slot was used before, so that an old key never finds a newer value.
struct SlotTable<Value> {
    fileprivate struct Slot {
        var use: UInt32 = 0
        var value: Value?
    }

    private var slots: [Slot] = []
    private var free: [Int] = []

    mutating func insert(_ value: Value) -> UInt64 {
        let index: Int
        if let reused = free.popLast() {
            index = reused
        } else {
            index = slots.count
            slots.append(Slot())
        }
        slots[index].value = value
        return UInt64(slots[index].use) << 32 | UInt64(index)
    }

    mutating func remove(_ key: UInt64) -> Value? {
        guard let index = index(of: key), let value = slots[index].value.take() else { return nil }
        slots[index].use &+= 1
        free.append(index)
        return value
    }

    subscript(key: UInt64) -> Value? {
        get {
            guard let index = index(of: key) else { return nil }
            return slots[index].value
        }
        _modify {
            guard let index = index(of: key) else {
                var absent: Value?
                yield &absent
                return
            }
            yield &slots[index].value
        }
    }

    private func index(of key: UInt64) -> Int? {
        let index = Int(key & 0xFFFF_FFFF)
        guard index < slots.count, UInt64(slots[index].use) == key >> 32 else { return nil }
        return index
    }
}

extension SlotTable.Slot: Sendable where Value: Sendable {}
extension SlotTable: Sendable where Value: Sendable {}
