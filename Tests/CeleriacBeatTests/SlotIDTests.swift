import CeleriacCore
import FoundationEssentials
import Testing

@testable import CeleriacBeat

@Suite("Slot ids") struct SlotIDTests {
    // The first, and the one for 15 octets, of the reference implementation's table for 128 bits of output.
    @Test(
        "Hashes as SipHash's reference does",
        arguments: [
            (0, 0xe6a8_25ba_047f_81a3, 0x9302_55c7_1472_f66d), (15, 0x11a8_b033_99e9_9354, 0xd9c3_cf97_0fec_087e),
        ] as [(Int, UInt64, UInt64)]
    )
    func referenceVectors(_ count: Int, _ low: UInt64, _ high: UInt64) {
        let octets = (0..<count).map { UInt8($0) }
        let hash = SipHash128.hash(octets, key: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908))
        #expect(hash == (low, high))
    }

    @Test("Is a UUID of version 8, the same for the same slot and another for any other")
    func shape() throws {
        let slot = at("2026-11-20T10:00:00Z")
        let id = SlotID.id(schedule: "celeriac", entry: "report", slot: slot)
        #expect(id == SlotID.id(schedule: "celeriac", entry: "report", slot: slot))
        #expect(UUID(uuidString: id.rawValue) != nil)
        #expect(id.rawValue == id.rawValue.lowercased())
        let characters = Array(id.rawValue)
        #expect(characters[14] == "8")
        #expect("89ab".contains(characters[19]))
        var ids: Set<TaskID> = [id]
        for schedule in ["a", "ab", "1:a"] {
            for entry in ["", "b", "bc", "c"] {
                for step in 0..<100 {
                    ids.insert(SlotID.id(schedule: schedule, entry: entry, slot: slot + Double(step) / 1000))
                }
            }
        }
        #expect(ids.count == 1 + 3 * 4 * 100)
    }
}
