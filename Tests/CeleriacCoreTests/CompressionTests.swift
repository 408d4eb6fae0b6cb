import FoundationEssentials
import TestSupport
import Testing

@testable import CeleriacCore

@Suite("Compression")
struct CompressionTests {
    /// The body of a call that Python has sent with `compression="gzip"`.
    private static let captured = """
        eJyLjjbUUTCK1VGorgVipeTEnJykxOTsYiUrhbzSnBwdBaXUoiI0keSMxMw8ZG5+UQqUWxsLAAnRGfA=
        """

    private static func octets(base64: String) throws -> [UInt8] { Array(try #require(Data(base64Encoded: base64))) }

    @Test("Reads what Python has compressed")
    func python() throws {
        let text = String(decoding: try Zlib.inflated(Self.octets(base64: Self.captured), limit: 1000), as: UTF8.self)
        #expect(text == #"[[1, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]"#)
    }

    @Test("Reads gzip's own format, too")
    func gzip() throws {
        // printf hello | gzip -n
        let octets = try Self.octets(base64: "H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==")
        #expect(try Zlib.inflated(octets, limit: 5) == Array("hello".utf8))
    }

    @Test("Gives back what it has compressed, from nothing to a megabyte", arguments: [0, 1, 1000, 65_536, 1 << 20])
    func roundTrip(_ count: Int) throws {
        let octets = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        let deflated = Zlib.deflated(octets)
        #expect(deflated.first == 0x78)
        #expect(try Zlib.inflated(deflated, limit: count) == octets)
    }

    @Test("Refuses data that is cut off, damaged, or larger than it may be")
    func refusals() throws {
        let deflated = Zlib.deflated([UInt8](repeating: 7, count: 1 << 20))
        #expect(deflated.count < 2000)
        #expect(throws: Zlib.Failure.tooLarge(limit: 1000)) { try Zlib.inflated(deflated, limit: 1000) }
        #expect(throws: Zlib.Failure.self) { try Zlib.inflated([], limit: 10) }
        #expect(throws: Zlib.Failure.self) { try Zlib.inflated(Array("no zlib".utf8), limit: 1000) }
        for count in 0..<deflated.count {
            #expect(throws: Zlib.Failure.self) { try Zlib.inflated(Array(deflated[..<count]), limit: 2 << 20) }
        }
        var damaged = deflated
        damaged[damaged.count - 1] ^= 1
        #expect(throws: Zlib.Failure.self) { try Zlib.inflated(damaged, limit: 2 << 20) }
    }

    @Test("A stored document is compressed from a size on, and read either way")
    func documents() throws {
        let small = TaskRecord.success("t", 1)
        let large = TaskRecord.success("t", .string(String(repeating: "x", count: 5000)))
        #expect(StoredDocument.sealed(large.document, .none) == large.document)
        #expect(StoredDocument.sealed(small.document, .zlib(from: 1024)) == small.document)
        let sealed = StoredDocument.sealed(large.document, .zlib(from: 1024))
        #expect(sealed.starts(with: Array("\0celery-compressed\0application/x-gzip\0x".utf8)))
        #expect(sealed.count < 500)
        #expect(try TaskRecord(stored: sealed) == TaskRecord(document: large.document))
        #expect(try TaskRecord(stored: small.document).state == .success)
    }

    @Test("A document compressed by an unknown method, or damaged, is an error")
    func unreadable() {
        for text in ["\0celery-compressed\0application/x-bz2\0x", "\0celery-compressed\0application/x-gzip\0x"] {
            #expect { try TaskRecord(stored: Array(text.utf8)) } throws: {
                ($0 as? CeleriacError)?.code == .undecodable
            }
        }
        #expect(throws: CeleriacError.self) { try TaskRecord(stored: StoredDocument.mark) }
    }

    @Test("A message's body is inflated within its limit, and travels on uncompressed")
    func messages() throws {
        let body = Array(#"[[1, 2], {}, {}]"#.utf8)
        let message = Message(headers: ["compression": "application/x-gzip"], body: Zlib.deflated(body))
        let plain = try message.decompressed(limit: 100)
        #expect(plain.body == body)
        #expect(plain.headers["compression"] == nil)
        #expect(throws: CompressionDefect.tooLarge(limit: 10)) { try message.decompressed(limit: 10) }
        let none = Message(headers: ["compression": .null], body: body)
        #expect(try none.decompressed(limit: 1).body == body)
    }
}
