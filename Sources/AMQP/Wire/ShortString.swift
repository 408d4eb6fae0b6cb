/// How the names of the wire, which are octets, stand as Swift strings.
///
/// The standard leaves the encoding of short strings open. All that matters in practice is UTF-8 and reads as such.
/// Octets that are not UTF-8 are kept, not repaired: each stands as one scalar from U+10FF80 through U+10FFFF, the
/// last of the private use, and is written as that octet again. So a name passed on, compared or used as a key is the
/// peer's own, octet for octet.
///
/// This holds for everything that travels as a short string: names of queues and exchanges, routing keys, consumer
/// tags, the text properties of a message, names of fields, reply texts. Values of fields say themselves what they
/// are: see ``FieldValue/undecodableString(_:)``.
public enum ShortString {
    /// The most octets of a name.
    public static let maximumOctets = 255

    /// The string that stands for the octets.
    public static func text(of octets: [UInt8]) -> String {
        octets.withUnsafeBytes { decode($0) }
    }

    /// The octets that the string stands for.
    public static func octets(of text: String) -> [UInt8] {
        var octets = Array(text.utf8)
        unescape(&octets, from: 0)
        return octets
    }

    // U+10FF80...U+10FFFF is F4 8F BE 80 ... F4 8F BF BF: the last octet, with one bit of the third, is the octet
    // meant. No other scalar that is ever assigned starts with F4, so looking for it is all that ordinary text costs.
    private static let lead: UInt8 = 0xF4

    static func decode(_ octets: UnsafeRawBufferPointer) -> String {
        if let text = String(validating: octets, as: UTF8.self), !containsEscapes(octets) { return text }
        return escaped(octets)
    }

    private static func containsEscapes(_ octets: UnsafeRawBufferPointer) -> Bool {
        octets.contains(lead) && octets.indices.contains { isEscape(octets, at: $0) }
    }

    private static func isEscape(_ octets: some RandomAccessCollection<UInt8>, at index: Int) -> Bool {
        // Indices of the collections that come here count octets.
        let rest = octets.dropFirst(index).prefix(4)
        return rest.count == 4 && rest.starts(with: [lead, 0x8F])
            && rest.dropFirst(2).first.map { $0 == 0xBE || $0 == 0xBF } == true
            && rest.last.map { $0 & 0xC0 == 0x80 } == true
    }

    private static func escaped(_ octets: UnsafeRawBufferPointer) -> String {
        var text = ""
        var rest = octets[...]
        while !rest.isEmpty {
            let count = validPrefix(rest)
            text += String(decoding: rest.prefix(count), as: UTF8.self)
            rest = rest.dropFirst(count)
            guard let octet = rest.popFirst() else { break }
            // Also the octets of such a scalar itself: it must not be taken for one of ours on the way back.
            if let scalar = Unicode.Scalar(0x10FF00 + UInt32(octet)) { text.unicodeScalars.append(scalar) }
        }
        return text
    }

    /// How many octets from the front are UTF-8 and stand for themselves.
    private static func validPrefix(_ octets: Slice<UnsafeRawBufferPointer>) -> Int {
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = octets.makeIterator()
        var count = 0
        while case .valid(let scalar) = parser.parseScalar(from: &iterator) {
            guard UTF8.decode(scalar).value < 0x10FF80 else { return count }
            count += scalar.count
        }
        return count
    }

    /// Turns the scalars that stand for octets, from an offset on, into those octets.
    static func unescape(_ octets: inout [UInt8], from start: Int) {
        guard let first = octets[start...].firstIndex(of: lead) else { return }
        var target = first
        var source = first
        while source < octets.count {
            if octets[source] == lead, isEscape(octets, at: source) {
                octets[target] = octets[source + 3] & 0x3F | (octets[source + 2] & 1) << 6 | 0x80
                source += 4
            } else {
                octets[target] = octets[source]
                source += 1
            }
            target += 1
        }
        octets.removeSubrange(target...)
    }

    /// Whether both are the same octets: Swift's `==` takes composed and decomposed letters for equal, a peer does not.
    static func areSame(_ left: String, _ right: String) -> Bool {
        left == right && left.utf8.elementsEqual(right.utf8)
    }
}
