internal import Foundation
internal import ProcessSupport

/// Certificates made when first asked for, in a directory that goes away with the process.
///
/// What there is stands in `make-certificates.sh`.
package struct TestCertificates: Sendable {
    package static let shared = TestCertificates()

    package let directory: String

    private init() {
        let directory = "\(NSTemporaryDirectory())/celeriac-tls-\(UUID().uuidString.prefix(8))"
        self.directory = directory
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "make-certificates.sh").path
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            let process = try ChildProcess(
                "certificates",
                "/usr/bin/env",
                ["bash", script, directory],
                directory: directory
            )
            precondition(
                process.waitBlocking() == .exit(0),
                "the certificates could not be made: see \(directory)/make.log"
            )
        } catch {
            preconditionFailure("the certificates could not be made: \(error)")
        }
        atexit { try? FileManager.default.removeItem(atPath: TestCertificates.shared.directory) }
    }

    /// The path of a file, by its name with its ending.
    package func path(_ name: String) -> String { "\(directory)/\(name)" }

    /// The octets of a file.
    package func octets(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(filePath: path(name))))
    }
}
