internal import COpenSSL

extension TLSFailure {
    /// What OpenSSL's reasons mean.
    ///
    /// - Parameters:
    ///   - reason: Of the TLS library; for an alert of the peer, its number (RFC 8446 §6) plus 1000.
    ///   - verification: The result of verifying the peer's certificate.
    init(reason: Int32, verification: Int32, wasAskedForCertificate: Bool, hasCertificate: Bool) {
        if reason == SSL_R_CERTIFICATE_VERIFY_FAILED {
            self.init(verification: verification)
            return
        }
        switch reason {
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_WRONG_SSL_VERSION, SSL_R_WRONG_VERSION_NUMBER, SSL_R_VERSION_TOO_LOW,
            SSL_R_VERSION_TOO_HIGH, SSL_R_NO_PROTOCOLS_AVAILABLE:
            self = .protocolVersion
            return
        case celeriac_tls_alert_offset...: break
        default:
            self = .violation
            return
        }
        switch (reason - celeriac_tls_alert_offset, wasAskedForCertificate, hasCertificate) {
        case (70, _, _): self = .protocolVersion
        case (116, _, false): self = .clientCertificateRequired
        // TLS 1.2 has no alert of its own for a missing certificate: handshake_failure or bad_certificate.
        case (40...49, true, false): self = .clientCertificateRequired
        case (41...49, true, true), (116, _, true): self = .clientCertificateRefused
        case (40, _, _), (71, _, _): self = .violation
        case (_, _, _): self = .refusedByPeer
        }
    }

    private init(verification: Int32) {
        switch verification {
        case X509_V_ERR_CERT_HAS_EXPIRED: self = .certificateExpired
        case X509_V_ERR_CERT_NOT_YET_VALID: self = .certificateNotYetValid
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: self = .selfSigned
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
            X509_V_ERR_CERT_UNTRUSTED:
            self = .unknownAuthority
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: self = .hostNameMismatch
        default: self = .certificateInvalid
        }
    }
}
