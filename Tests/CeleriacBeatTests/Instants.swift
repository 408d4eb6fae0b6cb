import CeleriacCore
import FoundationEssentials

/// Reads an instant such as `2026-11-20T08:00:00Z`.
func at(_ text: String) -> Date {
    guard let date = WireTime.date(from: text) else { preconditionFailure("no instant: \(text)") }
    return date
}

/// A random number generator that repeats itself from a seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
