internal import Glibc

/// Reads small files; blocks.
enum PEMFile {
    /// More than all authorities of the world together.
    private static let limit = 16 << 20

    static func read(_ path: String) throws(TransportError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(path, errno) }
        defer { close(descriptor) }
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw unreadable(path, errno) }
            if count == 0 { return octets }
            octets += chunk[..<count]
            guard octets.count <= limit else {
                throw TransportError(.unreadableFile, "\(path) is larger than \(limit) octets")
            }
        }
    }

    /// The files of a directory that look like certificates, in order.
    static func certificateFiles(in directory: String) throws(TransportError) -> [String] {
        guard let stream = opendir(directory) else { throw unreadable(directory, errno) }
        defer { closedir(stream) }
        var files: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { octets in
                String(decoding: octets.prefix { $0 != 0 }, as: UTF8.self)
            }
            if [".pem", ".crt", ".cer"].contains(where: name.hasSuffix) { files.append("\(directory)/\(name)") }
        }
        return files.sorted()
    }

    private static func unreadable(_ path: String, _ error: Int32) -> TransportError {
        TransportError(.unreadableFile, "cannot read \(path): \(String(cString: strerror(error)))")
    }
}
