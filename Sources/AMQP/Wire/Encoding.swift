// Encoding appends to the caller's buffer, which on a connection is the output buffer itself.
extension [UInt8] {
    @inline(__always)
    mutating func appendInteger<T: FixedWidthInteger>(_ value: T) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// Appends octets that their owner keeps: without a reference taken for the moment, as many messages are small.
    @inline(__always)
    mutating func appendOctets(_ octets: [UInt8]) {
        octets.withUnsafeBufferPointer { append(contentsOf: $0) }
    }

    mutating func appendShortString(_ text: String) throws(FrameError) {
        // An octet that is not UTF-8 stands as a scalar of four.
        guard text.utf8.count <= 4 * ShortString.maximumOctets else {
            throw .shortStringTooLong(octets: text.utf8.count)
        }
        let start = count
        append(0)
        append(contentsOf: text.utf8)
        ShortString.unescape(&self, from: start + 1)
        let length = count - start - 1
        guard length <= ShortString.maximumOctets else { throw .shortStringTooLong(octets: length) }
        self[start] = UInt8(truncatingIfNeeded: length)
    }

    /// A method's long string; see ``Cursor/longString()``.
    mutating func appendLongText(_ text: String) {
        appendLongOctets(ShortString.octets(of: text))
    }

    mutating func appendLongString(_ text: String) {
        appendInteger(UInt32(truncatingIfNeeded: text.utf8.count))
        append(contentsOf: text.utf8)
    }

    mutating func appendLongOctets(_ octets: [UInt8]) {
        appendInteger(UInt32(truncatingIfNeeded: octets.count))
        append(contentsOf: octets)
    }

    /// Encodes something with a 32-bit length in front that is known only afterwards.
    mutating func appendWithLength(_ encode: (inout [UInt8]) throws(FrameError) -> Void) throws(FrameError) {
        let start = count
        appendInteger(UInt32(0))
        try encode(&self)
        patchLength(UInt32(truncatingIfNeeded: count - start - 4), at: start)
    }

    /// Replaces eight octets.
    mutating func patch(_ value: UInt64, at offset: Int) {
        withUnsafeMutableBytes { $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self) }
    }

    mutating func patchLength(_ length: UInt32, at offset: Int) {
        self[offset] = UInt8(truncatingIfNeeded: length >> 24)
        self[offset + 1] = UInt8(truncatingIfNeeded: length >> 16)
        self[offset + 2] = UInt8(truncatingIfNeeded: length >> 8)
        self[offset + 3] = UInt8(truncatingIfNeeded: length)
    }
}
