internal import CeleriacCore
internal import FoundationEssentials

/// The id of the task that a slot emits: the same whoever emits it and however often.
enum SlotID {
    /// A UUID of version 8, RFC 9562's form for ids by one's own rule.
    ///
    /// Its 122 bits are SipHash-2-4 with 128 bits of output, under a fixed key, of schedule, entry and slot. That spreads
    /// well and collides by chance only; it is no proof against someone who chooses names in order to collide.
    static func id(schedule: String, entry: String, slot: Date) -> TaskID {
        let milliseconds = Int64((slot.timeIntervalSince1970 * 1000).rounded())
        // Lengths first, so that no two pairs of names join into the same text.
        let text = "\(schedule.utf8.count):\(schedule)\(entry.utf8.count):\(entry)@\(milliseconds)"
        let hash = SipHash128.hash(Array(text.utf8), key: (0x6365_6c65_7269_6163, 0x6265_6174_2d73_6c6f))
        let high = hash.0 & 0xffff_ffff_ffff_0fff | 0x8000
        let low = hash.1 & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000
        let digits = Array(hexadecimal(high) + hexadecimal(low))
        let groups = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }
        return TaskID(groups.joined(separator: "-"))
    }

    private static func hexadecimal(_ word: UInt64) -> String {
        let text = String(word, radix: 16)
        return String(repeating: "0", count: 16 - text.utf8.count) + text
    }
}

/// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein).
enum SipHash128 {
    static func hash(_ octets: [UInt8], key: (UInt64, UInt64)) -> (UInt64, UInt64) {
        var state = State(key: key)
        var start = 0
        while start + 8 <= octets.count {
            state.absorb(word(octets[start..<start + 8]))
            start += 8
        }
        state.absorb(word(octets[start...]) | UInt64(octets.count & 0xff) << 56)
        state.v2 ^= 0xee
        let first = state.finish()
        state.v1 ^= 0xdd
        return (first, state.finish())
    }

    private static func word(_ octets: ArraySlice<UInt8>) -> UInt64 {
        octets.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private struct State {
        var v0, v1, v2, v3: UInt64

        init(key: (UInt64, UInt64)) {
            v0 = key.0 ^ 0x736f_6d65_7073_6575
            v1 = key.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee
            v2 = key.0 ^ 0x6c79_6765_6e65_7261
            v3 = key.1 ^ 0x7465_6462_7974_6573
        }

        mutating func absorb(_ word: UInt64) {
            v3 ^= word
            round()
            round()
            v0 ^= word
        }

        mutating func finish() -> UInt64 {
            for _ in 0..<4 { round() }
            return v0 ^ v1 ^ v2 ^ v3
        }

        private mutating func round() {
            v0 &+= v1
            v1 = rotated(v1, 13) ^ v0
            v0 = rotated(v0, 32)
            v2 &+= v3
            v3 = rotated(v3, 16) ^ v2
            v0 &+= v3
            v3 = rotated(v3, 21) ^ v0
            v2 &+= v1
            v1 = rotated(v1, 17) ^ v2
            v2 = rotated(v2, 32)
        }

        private func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 { word << count | word >> (64 - count) }
    }
}
