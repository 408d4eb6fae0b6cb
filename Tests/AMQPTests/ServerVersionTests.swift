import Testing

@testable import AMQP

@Suite("Server versions") struct ServerVersionTests {
    @Test("Are in the order in which they were released")
    func order() throws {
        let texts = [
            "2.8.7", "3.9.29", "3.10", "3.10.8", "3.12.0-alpha", "3.12.0-rc.2", "3.12.0-rc.10", "3.12.0-rc.x", "3.12.0",
            "4", "4.1.0", "4.10.0",
        ]
        let versions = try texts.map { try #require(ServerVersion($0)) }
        for (index, version) in versions.enumerated() {
            #expect(version.description == texts[index])
            for later in versions[(index + 1)...] { #expect(version < later && !(later < version)) }
        }
    }

    @Test("Are equal however they are written", arguments: ["3.12", "3.12.0", "3.12.0.0", "3.12+build.7"])
    func equality(_ text: String) throws {
        let version = try #require(ServerVersion(text))
        #expect(version == ServerVersion(3, 12))
        #expect(version.hashValue == ServerVersion(3, 12, 0).hashValue)
        #expect(!(version < ServerVersion(3, 12)) && !(ServerVersion(3, 12) < version))
    }

    @Test(
        "Are not read from anything else",
        arguments: ["", "three", "3..1", "v3.1", "3.-1", "+3.1", "3.1.", " 3.1", "99999999999999999999", "-rc.1"]
    )
    func unreadable(_ text: String) {
        #expect(ServerVersion(text) == nil)
    }
}
