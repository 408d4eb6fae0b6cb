/// Reads big-endian values from octets in place.
///
/// Every read is checked against the end first, so hostile lengths end in an error and never in a trap or an
/// over-read. The octets belong to whoever lent them; a cursor must not outlive that loan, and none is stored.
package struct Cursor {
    private let bytes: UnsafeRawBufferPointer
    package private(set) var offset = 0

    package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    package var remaining: Int { bytes.count - offset }
    package var isAtEnd: Bool { offset == bytes.count }

    @inline(__always)
    private mutating func load<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) throws(FrameError) -> T {
        let size = MemoryLayout<T>.size
        guard remaining >= size else { throw .truncated }
        defer { offset += size }
        return T(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    package mutating func uint8() throws(FrameError) -> UInt8 { try load(UInt8.self) }
    package mutating func uint16() throws(FrameError) -> UInt16 { try load(UInt16.self) }
    package mutating func uint32() throws(FrameError) -> UInt32 { try load(UInt32.self) }
    package mutating func uint64() throws(FrameError) -> UInt64 { try load(UInt64.self) }

    /// The next octets, in place.
    package mutating func octets(_ count: Int) throws(FrameError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw .truncated }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    package mutating func skip(_ count: Int) throws(FrameError) {
        guard count >= 0, count <= remaining else { throw .truncated }
        offset += count
    }

    package mutating func shortOctets() throws(FrameError) -> UnsafeRawBufferPointer {
        try octets(Int(uint8()))
    }

    package mutating func longOctets() throws(FrameError) -> UnsafeRawBufferPointer {
        try octets(Int(uint32()))
    }

    /// A short string, of which no octet is lost: see ``ShortString``.
    package mutating func shortString() throws(FrameError) -> String {
        ShortString.decode(try shortOctets())
    }

    /// A long string that is a method's argument, in the same way.
    package mutating func longString() throws(FrameError) -> String {
        ShortString.decode(try longOctets())
    }

    package mutating func end() throws(FrameError) {
        guard isAtEnd else { throw .trailingOctets }
    }
}
