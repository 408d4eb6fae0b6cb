/// How a connection is encrypted, and whom it trusts.
///
/// The defaults are the safe choice: the system's authorities, certificate and host name verified, TLS 1.2 at least.
/// Files are read when connecting, off the event loop, and again only after they have changed. A directory of
/// authorities that is the system's is looked at the same way, except that OpenSSL reads the one small file that it needs
/// of it during the first handshake.
public struct TLSConfiguration: Hashable, Sendable {
    /// The authorities whose certificates are believed.
    public enum Trust: Hashable, Sendable {
        /// Those of the system: OpenSSL's default file and directory, or `SSL_CERT_FILE` and `SSL_CERT_DIR`.
        ///
        /// When the file changes, or the directory's list of files, they are read again by the next connection.
        case system
        /// All certificates of a PEM file.
        case file(String)
        /// All certificates of a directory's files that end in `.pem`, `.crt` or `.cer`.
        case directory(String)
        /// Certificates in PEM form.
        case pem([UInt8])
    }

    /// What the client shows when the server asks for a certificate.
    public struct ClientCertificate: Hashable, Sendable {
        /// A PEM file with the certificate, followed by those between it and the authority.
        public var certificateFile: String
        /// A PEM file with the certificate's private key; it may be the same file.
        public var keyFile: String
        /// What decrypts an encrypted key; never shown in descriptions or errors.
        public var passphrase: String?

        /// Names the files.
        public init(certificateFile: String, keyFile: String, passphrase: String? = nil) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.passphrase = passphrase
        }
    }

    /// What is checked of the server's certificate.
    public enum Verification: Hashable, Sendable {
        /// That a trusted authority vouches for it, that it is valid now, and that it names the server.
        case full
        /// Everything but the name.
        ///
        /// Anybody with a certificate of a trusted authority can pass for the server.
        case noHostname
        /// Nothing at all.
        ///
        /// - Warning: Anybody on the way can read and change everything, the password included. For tests only.
        case none
    }

    /// A version of the protocol.
    public enum Version: Hashable, Sendable {
        /// TLS 1.2.
        case v1_2
        /// TLS 1.3.
        case v1_3
    }

    /// The authorities whose certificates are believed.
    public var trust = Trust.system
    /// What the client shows when the server asks for a certificate; nothing if absent.
    public var clientCertificate: ClientCertificate?
    /// The name that the server is asked for (SNI) and that its certificate must bear; the host connected to if absent.
    ///
    /// An IP address is looked for among the certificate's IP addresses and is never sent.
    public var serverName: String?
    /// Whether the server is told which name is meant (SNI).
    public var sendsServerName = true
    /// The lowest version that is accepted.
    public var minimumVersion = Version.v1_2
    /// What is checked of the server's certificate.
    public var verification = Verification.full
    /// The ciphers of TLS 1.2 in OpenSSL's notation, such as `ECDHE+AESGCM`; OpenSSL's defaults if absent.
    public var cipherList: String?
    /// The cipher suites of TLS 1.3, separated by colons; OpenSSL's defaults if absent.
    public var cipherSuites: String?

    /// The defaults.
    public init() {}
}

extension TLSConfiguration.ClientCertificate: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The files, and whether there is a passphrase.
    public var description: String {
        "certificate \(certificateFile), key \(keyFile)\(passphrase == nil ? "" : ", passphrase ***")"
    }

    /// The same as the description: the passphrase is not shown anywhere.
    public var debugDescription: String { description }

    /// Nothing but the description, so that `dump` leaves the passphrase out.
    public var customMirror: Mirror { Mirror(self, children: ["files": description]) }
}
