internal import COpenSSL
internal import Glibc

/// The client's side of one TLS conversation: octets in, octets out; touches no socket.
///
/// Cipher octets are fed in with ``feed(_:)`` and taken out with ``send(_:)``; plain ones go through ``encrypt(_:)``
/// and ``decrypt(into:)``. Confined to its stream's event loop.
final class TLSEngine {
    /// What there was to decrypt.
    enum Decrypted: Equatable {
        /// So many plain octets were stored.
        case octets(Int)
        /// Nothing until more has been fed.
        case needsMore
        /// The peer has said goodbye; nothing follows.
        case closed
    }

    /// What one record can carry at most.
    static let recordSize = 16_384

    /// A name as it is verified.
    private enum Identity {
        case name(String)
        case address(String)
    }

    private let context: TLSContext
    private let peer: String
    private let expectedName: String
    private let ssl: OpaquePointer
    /// Both belong to `ssl`, which frees them.
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private let wasAskedForCertificate: UnsafeMutablePointer<Bool>
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    private var outputStart = 0
    private var outputEnd = 0
    private var firstOctet: UInt8?
    private(set) var isEstablished = false
    private var hasFailed = false

    /// - Parameters:
    ///   - host: Whom the certificate must name, unless the configuration names somebody else.
    ///   - peer: Where the stream leads, for messages.
    init(_ context: TLSContext, host: String, peer: String) throws(TransportError) {
        guard let ssl = SSL_new(context.handle), let incoming = BIO_new(BIO_s_mem()),
            let outgoing = BIO_new(BIO_s_mem())
        else { throw TransportError(.invalidOption, "OpenSSL has no memory for a conversation") }
        self.context = context
        self.peer = peer
        expectedName = context.configuration.serverName ?? host
        self.ssl = ssl
        self.incoming = incoming
        self.outgoing = outgoing
        wasAskedForCertificate = .allocate(capacity: 1)
        wasAskedForCertificate.initialize(to: false)
        celeriac_bio_never_ends(incoming)
        SSL_set_bio(ssl, incoming, outgoing)
        SSL_set_connect_state(ssl)
        SSL_set_cert_cb(
            ssl,
            { _, flag in
                // `wasAskedForCertificate`, which lives as long as the conversation.
                flag?.assumingMemoryBound(to: Bool.self).pointee = true
                return 1
            },
            wasAskedForCertificate
        )
        try setIdentity()
    }

    deinit {
        SSL_free(ssl)
        wasAskedForCertificate.deallocate()
        output.deallocate()
    }

    private func setIdentity() throws(TransportError) {
        let configuration = context.configuration
        let verifies = configuration.verification == .full
        switch Self.identity(expectedName) {
        case nil:
            guard verifies else { return }
            throw TransportError(.invalidOption, "TLS needs the server's name, and \(peer) has none: set serverName")
        case .address(let address)?:
            guard verifies else { return }
            guard X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address) == 1 else {
                throw TransportError(.invalidOption, "\"\(address)\" is no address that a certificate can name")
            }
        case .name(let name)?:
            // RFC 6066 §3: an address is never sent as a server name.
            if configuration.sendsServerName, celeriac_tls_set_server_name(ssl, name) != 1 {
                throw TransportError(.invalidOption, "\"\(name)\" cannot be sent as a server name")
            }
            guard verifies else { return }
            SSL_set_hostflags(ssl, celeriac_tls_no_partial_wildcards)
            guard SSL_set1_host(ssl, name) == 1 else {
                throw TransportError(.invalidOption, "\"\(name)\" is no name that a certificate can bear")
            }
        }
    }

    private static func identity(_ text: String) -> Identity? {
        let text = text.last == "." ? String(text.dropLast()) : text  // a rooted name is certified without its dot
        guard !text.isEmpty, !text.hasPrefix("/") else { return nil }
        var address = in6_addr()
        let unscoped = String(text.prefix { $0 != "%" })
        let isAddress = inet_pton(AF_INET, unscoped, &address) == 1 || inet_pton(AF_INET6, unscoped, &address) == 1
        return isAddress ? .address(unscoped) : .name(text)
    }

    // MARK: Cipher octets

    /// Takes what has come from the peer.
    func feed(_ octets: UnsafeRawBufferPointer) {
        if firstOctet == nil { firstOctet = octets.first }
        // A memory BIO takes everything.
        _ = BIO_write(incoming, octets.baseAddress, Int32(clamping: octets.count))
    }

    /// Whether there is something to send.
    var hasOutput: Bool { outputStart < outputEnd || BIO_ctrl_pending(outgoing) > 0 }

    /// Lets a closure send from the front of what is to be sent; it returns how many octets were, or a negative number.
    func send(_ write: (UnsafeRawBufferPointer) -> Int) -> Int {
        if outputStart == outputEnd {
            outputStart = 0
            outputEnd = max(0, Int(BIO_read(outgoing, output.baseAddress, Int32(output.count))))
        }
        let count = write(UnsafeRawBufferPointer(rebasing: output[outputStart..<outputEnd]))
        if count > 0 { outputStart += count }
        return count
    }

    // MARK: The conversation

    /// Goes on with the handshake as far as what was fed allows; true when it is complete.
    func handshake() throws(TransportError) -> Bool {
        guard !isEstablished else { return true }
        ERR_clear_error()
        let status = SSL_do_handshake(ssl)
        isEstablished = status == 1
        if !isEstablished, !isWaiting(status) { throw failure(during: "the TLS handshake with \(peer)") }
        return isEstablished
    }

    /// Decrypts into the front of a buffer.
    func decrypt(into buffer: UnsafeMutableRawBufferPointer) throws(TransportError) -> Decrypted {
        ERR_clear_error()
        var count = 0
        let status = SSL_read_ex(ssl, buffer.baseAddress, buffer.count, &count)
        if status == 1 { return .octets(count) }
        if isWaiting(status) { return .needsMore }
        if SSL_get_error(ssl, status) == SSL_ERROR_ZERO_RETURN { return .closed }
        throw failure(during: "TLS with \(peer)")
    }

    /// Encrypts octets, in records of ``recordSize``.
    func encrypt(_ octets: UnsafeRawBufferPointer) throws(TransportError) {
        ERR_clear_error()
        var rest = octets
        while !rest.isEmpty {
            var count = 0
            // The BIO takes everything and nothing is renegotiated, so there is nothing to wait for.
            guard SSL_write_ex(ssl, rest.baseAddress, rest.count, &count) == 1, count > 0 else {
                throw failure(during: "TLS with \(peer)")
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Says goodbye (`close_notify`); nothing can be encrypted afterwards.
    func shutdown() {
        // After a fatal error OpenSSL allows no goodbye, and its alert has said all.
        guard isEstablished, !hasFailed else { return }
        _ = SSL_shutdown(ssl)
        ERR_clear_error()
    }

    private func isWaiting(_ status: Int32) -> Bool {
        let reason = SSL_get_error(ssl, status)
        return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE
    }

    // MARK: Failures

    private func failure(during what: String) -> TransportError {
        hasFailed = true
        let errors = OpenSSLErrors.drain()
        // RFC 8446 §5.1: the content types of TLS; an AMQP or HTTP server begins with a letter.
        if !isEstablished, let firstOctet, !(20...23).contains(firstOctet) {
            return TransportError(.notTLS, "\(peer) does not speak TLS")
        }
        let verification = SSL_get_verify_result(ssl)
        let kind = TLSFailure(
            reason: errors.tlsReason ?? -1,
            verification: Int32(clamping: verification),
            wasAskedForCertificate: wasAskedForCertificate.pointee,
            hasCertificate: context.configuration.clientCertificate != nil
        )
        var text = "\(what) failed: \(errors.text)"
        if verification != X509_V_OK, let reason = X509_verify_cert_error_string(verification) {
            text = "\(what) failed: the server's certificate: \(String(cString: reason))"
        }
        if kind == .hostNameMismatch { text += "; expected \(expectedName)" }
        return TransportError(kind, text)
    }
}
