import Foundation
import Testing

@testable import AMQP

/// Conversations as real clients and servers had them; see Tests/Captures/README.md.
struct Capture: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let client: [UInt8]
    let server: [UInt8]

    static let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Captures")
        .standardizedFileURL

    static let all: [Capture] = {
        let files = try? FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
        return (files ?? []).filter { $0.pathExtension == "txt" }.sorted { $0.path < $1.path }.compactMap(Capture.init)
    }()

    private init?(_ file: URL) {
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { return nil }
        func octets(after mark: Character) -> [UInt8] {
            text.split(separator: "\n").filter { $0.first == mark }.flatMap { line in
                let digits = Array(line.dropFirst(2).utf8)
                return stride(from: 0, to: digits.count - 1, by: 2).map { index in
                    UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) ?? 0
                }
            }
        }
        testDescription = file.lastPathComponent
        client = octets(after: ">")
        server = octets(after: "<")
    }

    func frames(_ chunking: Chunking = .whole) throws -> [WireSample.Frame] {
        let decoder = FrameDecoder(maximumFrameSize: 131_072)
        return try chunking.feed(Array(client.dropFirst(8)), to: decoder) + chunking.feed(server, to: decoder)
    }
}

@Suite("Captured conversations") struct CaptureTests {
    @Test("Frames are the same however the octets arrive", arguments: Capture.all, Chunking.allCases)
    func chunking(_ capture: Capture, _ chunking: Chunking) throws {
        #expect(capture.client.starts(with: FrameEncoder.protocolHeader))
        let frames = try capture.frames(chunking)
        #expect(!frames.isEmpty)
        #expect(try frames == capture.frames())
    }

    @Test("Frames written again are the same octet for octet", arguments: Capture.all)
    func roundTrip(_ capture: Capture) throws {
        var output = FrameEncoder.protocolHeader
        let octets = capture.client + capture.server
        for frame in try capture.frames() {
            let start = output.count
            try frame.encode(into: &output)
            let end = min(output.count, octets.count)
            // librabbitmq sets the reserved bit at the end of connection.open, and reserved arguments are left out.
            if case .method(_, .connectionOpen) = frame { output[output.count - 2] = octets[end - 2] }
            try #require(output[start...] == octets[start..<end], "\(frame)")
        }
        #expect(output == octets)
    }

    @Test("A table taken apart and put together is the same octet for octet", arguments: Capture.all)
    func tables(_ capture: Capture) throws {
        for case .header(_, let header) in try capture.frames() {
            guard let headers = header.properties.headers else { continue }
            var (passedOn, rebuilt): ([UInt8], [UInt8]) = ([], [])
            try headers.encode(into: &passedOn)
            try FieldTable(headers.fields.map { ($0.name, $0.value) }).encode(into: &rebuilt)
            // The one value with two ways to write it.
            #expect(rebuilt.count == passedOn.count)
            #expect(
                zip(rebuilt, passedOn).allSatisfy { $0 == $1 || $0 == UInt8(ascii: "l") && $1 == UInt8(ascii: "L") }
            )
        }
    }

    @Test("All of the protocol that clients use has been seen")
    func coverage() throws {
        var seen: Set<String> = []
        for capture in Capture.all {
            for case .method(_, let method) in try capture.frames() { seen.insert(method.name) }
        }
        let unseen = MethodTests.all.map(\.name).filter { !seen.contains($0) }
        #expect(unseen == [])
    }
}

extension WireSample.Frame {
    fileprivate func encode(into output: inout [UInt8]) throws {
        switch self {
        case .method(let channel, let method): try FrameEncoder.method(method, channel: channel, into: &output)
        case .header(let channel, let header):
            var payload: [UInt8] = [0, 60, 0, 0]
            payload.appendInteger(header.bodySize)
            try header.properties.encode(into: &payload)
            FrameEncoder.body(payload[...], channel: channel, into: &output)
            output[output.count - payload.count - FrameDecoder.overhead] = FrameType.header.rawValue
        case .body(let channel, let octets): FrameEncoder.body(octets[...], channel: channel, into: &output)
        case .heartbeat: FrameEncoder.heartbeat(into: &output)
        }
    }
}
