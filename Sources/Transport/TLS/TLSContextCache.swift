internal import COpenSSL
internal import CShims
internal import Dispatch
internal import Glibc
internal import Synchronization

/// Contexts by configuration, so that connecting again reads no file that has not changed.
final class TLSContextCache: Sendable {
    static let shared = TLSContextCache()

    /// What tells one state of a file from another.
    private struct Stamp: Hashable {
        let path: String
        let device: dev_t
        let inode: ino_t
        let size: off_t
        let seconds: time_t
        let nanoseconds: Int

        init(_ path: String) {
            var status = stat()
            if stat(path, &status) != 0 { status = stat() }
            self.path = path
            device = status.st_dev
            inode = status.st_ino
            size = status.st_size
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
        }
    }

    private struct Entry {
        let stamps: [Stamp]
        let context: TLSContext
    }

    /// Configurations are few; somebody who makes new ones without end must not fill the memory.
    private static let limit = 32

    private let entries = Mutex<[TLSConfiguration: Entry]>([:])
    private let variable: @Sendable (String) -> String?

    /// - Parameter variable: The environment, in which OpenSSL is told of other authorities than the system's.
    init(variable: @escaping @Sendable (String) -> String? = { getenv($0).map { String(cString: $0) } }) {
        self.variable = variable
    }

    /// Makes a configuration ready on a thread where it may block.
    func load(
        _ configuration: TLSConfiguration,
        completion: @escaping @Sendable (Result<TLSContext, TransportError>) -> Void
    ) {
        DispatchQueue.global().async {
            completion(Result { () throws(TransportError) in try self.context(for: configuration) })
        }
    }

    /// Blocks while it looks at files.
    func context(for configuration: TLSConfiguration) throws(TransportError) -> TLSContext {
        // Taken before reading: a file that changes meanwhile is read again the next time.
        let stamps = files(of: configuration).map(Stamp.init)
        if let entry = entries.withLock({ $0[configuration] }), entry.stamps == stamps { return entry.context }
        let context = try TLSContext(configuration)
        entries.withLock { entries in
            if entries.count >= Self.limit { entries.removeAll() }
            entries[configuration] = Entry(stamps: stamps, context: context)
        }
        return context
    }

    func files(of configuration: TLSConfiguration) -> [String] {
        var files: [String] = []
        if configuration.verification != .none {
            switch configuration.trust {
            case .system:
                files.append(variable("SSL_CERT_FILE") ?? String(cString: X509_get_default_cert_file()))
                // A directory changes when one of its files is renamed, added or removed, as tools that renew it do.
                let directories = variable("SSL_CERT_DIR") ?? String(cString: X509_get_default_cert_dir())
                files += directories.split(separator: ":").map(String.init)
            case .file(let path): files.append(path)
            case .directory(let path): files += [path] + ((try? PEMFile.certificateFiles(in: path)) ?? [])
            case .pem: break
            }
        }
        if let certificate = configuration.clientCertificate {
            files += [certificate.certificateFile, certificate.keyFile]
        }
        return files
    }
}
