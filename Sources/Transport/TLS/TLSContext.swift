internal import COpenSSL
internal import Glibc

/// A configuration made ready for handshakes: files read, certificates and key parsed and found to match.
///
// Soundness of @unchecked Sendable: the SSL_CTX is changed by `init` only; afterwards it serves SSL_new, which OpenSSL
// allows from any thread.
final class TLSContext: @unchecked Sendable {
    let handle: OpaquePointer
    let configuration: TLSConfiguration

    /// Blocks while it reads files.
    ///
    /// - Throws: ``TransportError`` with a ``TLSFailure``: `.unreadableFile`, `.invalidFile`, `.wrongPassphrase`,
    ///   `.keyMismatch` or `.invalidOption`.
    init(_ configuration: TLSConfiguration) throws(TransportError) {
        ERR_clear_error()
        guard let handle = SSL_CTX_new(TLS_client_method()) else {
            throw TransportError(.invalidOption, "OpenSSL does not start: \(OpenSSLErrors.drain().text)")
        }
        self.handle = handle
        self.configuration = configuration
        celeriac_tls_harden(handle)
        try setOptions()
        try setTrust()
        if let certificate = configuration.clientCertificate { try setClientCertificate(certificate) }
        ERR_clear_error()
    }

    deinit { SSL_CTX_free(handle) }

    private func setOptions() throws(TransportError) {
        let minimum = configuration.minimumVersion == .v1_3 ? celeriac_tls_1_3 : celeriac_tls_1_2
        guard celeriac_tls_set_minimum(handle, minimum) == 1 else {
            throw TransportError(.invalidOption, "OpenSSL here cannot do the minimum TLS version")
        }
        if let ciphers = configuration.cipherList, SSL_CTX_set_cipher_list(handle, ciphers) != 1 {
            throw TransportError(.invalidOption, "no cipher of the list \"\(ciphers)\" is known")
        }
        if let suites = configuration.cipherSuites, SSL_CTX_set_ciphersuites(handle, suites) != 1 {
            throw TransportError(.invalidOption, "a cipher suite of \"\(suites)\" is unknown")
        }
        SSL_CTX_set_verify(handle, configuration.verification == .none ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
    }

    // MARK: Trust

    private func setTrust() throws(TransportError) {
        guard configuration.verification != .none else { return }
        switch configuration.trust {
        case .system:
            // On most systems a directory of small files named by hash, of which a handshake reads the one it needs.
            guard SSL_CTX_set_default_verify_paths(handle) == 1 else {
                throw TransportError(.unreadableFile, "the system's certificates: \(OpenSSLErrors.drain().text)")
            }
        case .file(let path):
            try trust(try PEMFile.read(path), from: path)
        case .directory(let path):
            let files = try PEMFile.certificateFiles(in: path)
            guard !files.isEmpty else {
                throw TransportError(.invalidFile, "\(path) has no file that ends in .pem, .crt or .cer")
            }
            for file in files { try trust(try PEMFile.read(file), from: file) }
        case .pem(let octets):
            try trust(octets, from: "the trusted certificates")
        }
    }

    private func trust(_ pem: [UInt8], from source: String) throws(TransportError) {
        let store = SSL_CTX_get_cert_store(handle)
        try eachCertificate(of: pem, from: source) { certificate, _ in X509_STORE_add_cert(store, certificate) == 1 }
    }

    // MARK: Client certificate

    private func setClientCertificate(_ certificate: TLSConfiguration.ClientCertificate) throws(TransportError) {
        let chain = try PEMFile.read(certificate.certificateFile)
        try eachCertificate(of: chain, from: certificate.certificateFile) { [handle] certificate, index in
            // The first is the client's own, those that follow lead to an authority.
            index == 0
                ? SSL_CTX_use_certificate(handle, certificate) == 1
                : celeriac_tls_add_chain_certificate(handle, certificate) == 1
        }
        let key = try privateKey(certificate)
        defer { EVP_PKEY_free(key) }
        // OpenSSL compares the two here and in `check`: whichever finds it, they do not belong together.
        guard SSL_CTX_use_PrivateKey(handle, key) == 1, SSL_CTX_check_private_key(handle) == 1 else {
            ERR_clear_error()
            let files = "\(certificate.keyFile) does not belong to the certificate in \(certificate.certificateFile)"
            throw TransportError(.keyMismatch, "the key in \(files)")
        }
    }

    private struct Passphrase {
        let octets: [UInt8]?
        var wasAsked = false
    }

    private func privateKey(_ certificate: TLSConfiguration.ClientCertificate) throws(TransportError) -> OpaquePointer {
        let path = certificate.keyFile
        let octets = try PEMFile.read(path)
        guard let input = BIO_new_mem_buf(octets, Int32(clamping: octets.count)) else {
            throw TransportError(.invalidFile, "out of memory while reading \(path)")
        }
        defer { BIO_free(input) }
        var passphrase = Passphrase(octets: certificate.passphrase.map { Array($0.utf8) })
        // Without a callback of our own OpenSSL would ask at the terminal.
        let key = withUnsafeMutablePointer(to: &passphrase) { pointer in
            PEM_read_bio_PrivateKey(
                input,
                nil,
                { buffer, size, _, context in
                    // The context is `passphrase`, alive for the whole call.
                    guard let passphrase = context?.assumingMemoryBound(to: Passphrase.self), let buffer else {
                        return -1
                    }
                    passphrase.pointee.wasAsked = true
                    guard let octets = passphrase.pointee.octets, octets.count <= size else { return -1 }
                    for (index, octet) in octets.enumerated() { buffer[index] = CChar(bitPattern: octet) }
                    return Int32(octets.count)
                },
                pointer
            )
        }
        if let key { return key }
        let reason = OpenSSLErrors.drain().text
        guard passphrase.wasAsked else {
            throw TransportError(.invalidFile, "\(path) holds no private key in PEM form: \(reason)")
        }
        let isSet = passphrase.octets != nil
        throw TransportError(
            .wrongPassphrase,
            "the key in \(path) is encrypted, and the passphrase is \(isSet ? "wrong" : "not set")"
        )
    }

    /// Hands over each certificate of a PEM text; there must be one at least.
    private func eachCertificate(
        of pem: [UInt8],
        from source: String,
        _ use: (OpaquePointer, Int) -> Bool
    ) throws(TransportError) {
        guard let input = BIO_new_mem_buf(pem, Int32(clamping: pem.count)) else {
            throw TransportError(.invalidFile, "out of memory while reading \(source)")
        }
        defer { BIO_free(input) }
        var count = 0
        while let certificate = PEM_read_bio_X509(input, nil, { _, _, _, _ in -1 }, nil) {
            defer { X509_free(certificate) }
            guard use(certificate, count) else {
                let reason = OpenSSLErrors.drain().text
                throw TransportError(.invalidFile, "certificate \(count + 1) of \(source) cannot be used: \(reason)")
            }
            count += 1
        }
        let errors = OpenSSLErrors.drain()
        guard errors.isEndOfPEM else {
            throw TransportError(.invalidFile, "certificate \(count + 1) of \(source) cannot be read: \(errors.text)")
        }
        guard count > 0 else { throw TransportError(.invalidFile, "\(source) holds no certificate in PEM form") }
    }
}
