internal import COpenSSL

/// SHA-256, for keys that are too long to be stored as they are.
enum SHA256 {
    /// The digest of some octets as 64 hexadecimal digits.
    static func hexDigest(of octets: [UInt8]) -> String {
        let digest = [UInt8](unsafeUninitializedCapacity: Int(SHA256_DIGEST_LENGTH)) { buffer, count in
            COpenSSL.SHA256(octets, octets.count, buffer.baseAddress)
            count = buffer.count
        }
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
