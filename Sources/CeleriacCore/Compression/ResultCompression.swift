/// Whether stored results are compressed, as Celery's `result_compression` does it.
///
/// Compressed results are read in any case, whatever the setting, by Swift and by Celery from 5.7 on; an older Celery
/// cannot read them. In effect in Redis; results by message, and those in memory, are never compressed.
public struct ResultCompression: Hashable, Sendable {
    /// Documents smaller than this stay as they are; `nil` if all do.
    package let threshold: Int?

    private init(threshold: Int?) { self.threshold = threshold }

    /// Results are stored as they are.
    public static let none = ResultCompression(threshold: nil)

    /// Results are stored in zlib's format, Celery's `gzip`.
    ///
    /// - Parameter octets: From which size on, counting the whole document: small ones do not get smaller.
    public static func zlib(from octets: Int = 1024) -> ResultCompression {
        ResultCompression(threshold: max(0, octets))
    }
}

/// A result document as it is stored: plain JSON, or compressed behind a mark (wire document §3.9).
package enum StoredDocument {
    /// No serializer's output begins with a null octet, so a plain document is never mistaken for a compressed one.
    package static let mark: [UInt8] = [0] + Array("celery-compressed".utf8) + [0]
    /// As much as a value from Redis may hold.
    private static let maximumOctets = 64 << 20

    package static func isCompressed(_ stored: [UInt8]) -> Bool { stored.starts(with: mark) }

    /// A document in the form that it is stored in.
    package static func sealed(_ document: [UInt8], _ compression: ResultCompression) -> [UInt8] {
        guard let threshold = compression.threshold, document.count >= threshold else { return document }
        return mark + Array(CompressionMethod.zlib.rawValue.utf8) + [0] + Zlib.deflated(document)
    }

    /// The document in what was stored.
    ///
    /// - Throws: ``CeleriacError`` `.undecodable`, for methods that are not known as well.
    package static func opened(_ stored: [UInt8]) throws(CeleriacError) -> [UInt8] {
        guard isCompressed(stored) else { return stored }
        let rest = stored[mark.count...]
        let name = String(decoding: rest.prefix { $0 != 0 }, as: UTF8.self)
        guard CompressionMethod(rawValue: name) != nil else {
            throw CeleriacError(.undecodable, "a stored result is compressed as \(name); known: application/x-gzip")
        }
        do {
            return try Zlib.inflated(Array(rest.dropFirst(name.utf8.count + 1)), limit: maximumOctets)
        } catch {
            throw CeleriacError(.undecodable, "a stored result cannot be read: \(error)", underlying: error)
        }
    }
}

extension TaskRecord {
    /// Reads what a store holds, compressed or not.
    ///
    /// - Throws: ``CeleriacError`` `.undecodable`.
    package init(stored: [UInt8]) throws(CeleriacError) {
        try self.init(document: StoredDocument.opened(stored))
    }
}
