/// What went wrong with TLS, an open set.
public struct TLSFailure: Hashable, Sendable, CustomStringConvertible {
    private enum Raw: String {
        case certificateExpired, certificateNotYetValid, unknownAuthority, selfSigned, hostNameMismatch
        case certificateInvalid, protocolVersion, notTLS, clientCertificateRequired, clientCertificateRefused
        case refusedByPeer, interrupted, truncated, violation
        case unreadableFile, invalidFile, wrongPassphrase, keyMismatch, invalidOption
    }
    private let raw: Raw

    /// The server's certificate, or one of those above it, has expired.
    public static let certificateExpired = TLSFailure(raw: .certificateExpired)
    /// The server's certificate, or one of those above it, is not valid yet; perhaps this machine's clock is wrong.
    public static let certificateNotYetValid = TLSFailure(raw: .certificateNotYetValid)
    /// No trusted authority vouches for the server's certificate.
    public static let unknownAuthority = TLSFailure(raw: .unknownAuthority)
    /// The server's certificate vouches for itself, and is not trusted.
    public static let selfSigned = TLSFailure(raw: .selfSigned)
    /// The server's certificate is for another name or address.
    public static let hostNameMismatch = TLSFailure(raw: .hostNameMismatch)
    /// The server's certificate is not acceptable for another reason, which the message tells.
    public static let certificateInvalid = TLSFailure(raw: .certificateInvalid)
    /// The two sides have no version of TLS in common.
    public static let protocolVersion = TLSFailure(raw: .protocolVersion)
    /// What answered does not speak TLS.
    public static let notTLS = TLSFailure(raw: .notTLS)
    /// The server demands a client certificate, and there is none.
    public static let clientCertificateRequired = TLSFailure(raw: .clientCertificateRequired)
    /// The server does not accept the client certificate.
    public static let clientCertificateRefused = TLSFailure(raw: .clientCertificateRefused)
    /// The server ended the conversation with another alert, which the message tells.
    public static let refusedByPeer = TLSFailure(raw: .refusedByPeer)
    /// The stream ended during the handshake.
    public static let interrupted = TLSFailure(raw: .interrupted)
    /// The stream ended without TLS's goodbye, so that the last octets may be missing.
    public static let truncated = TLSFailure(raw: .truncated)
    /// The server sent what TLS does not allow, or the two have no cipher in common.
    public static let violation = TLSFailure(raw: .violation)
    /// A file of the configuration cannot be read.
    public static let unreadableFile = TLSFailure(raw: .unreadableFile)
    /// A file of the configuration does not hold what it should.
    public static let invalidFile = TLSFailure(raw: .invalidFile)
    /// The private key is encrypted, and the passphrase is wrong or missing.
    public static let wrongPassphrase = TLSFailure(raw: .wrongPassphrase)
    /// The private key does not belong to the client certificate.
    public static let keyMismatch = TLSFailure(raw: .keyMismatch)
    /// An option of the configuration cannot be used, such as an unknown cipher.
    public static let invalidOption = TLSFailure(raw: .invalidOption)

    /// The failure's name.
    public var description: String { raw.rawValue }

    /// Whether trying again cannot help until somebody changes the configuration or a certificate.
    public var isPermanent: Bool {
        switch raw {
        case .interrupted, .truncated, .violation, .refusedByPeer: false
        default: true
        }
    }
}
