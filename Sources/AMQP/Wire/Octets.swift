internal import Glibc

extension UnsafeRawBufferPointer {
    /// Whether both hold the same octets: what arrives is compared with what came before it all the time.
    func hasSameOctets(as other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        guard let base = baseAddress, let otherBase = other.baseAddress else { return true }
        return memcmp(base, otherBase, count) == 0
    }

    func hasSameOctets(as other: [UInt8]) -> Bool {
        other.withUnsafeBytes { hasSameOctets(as: $0) }
    }
}

extension String {
    /// Whether both are the same octet for octet: Swift's `==` takes composed and decomposed letters for equal.
    func hasSameOctets(as other: String) -> Bool {
        let compared = utf8.withContiguousStorageIfAvailable { octets in
            other.utf8.withContiguousStorageIfAvailable { otherOctets in
                UnsafeRawBufferPointer(octets).hasSameOctets(as: UnsafeRawBufferPointer(otherOctets))
            }
        }
        if let compared, let isSame = compared { return isSame }
        return utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
