import AMQP
import FaultProxySupport
import Foundation
import ProcessSupport
import Synchronization
import TestSupport
import Testing

/// Tests of the AMQP library behind a proxy that breaks its connections, and against servers that are killed.
@Suite(
    "AMQP faults",
    .serialized,
    .tags(.integration),
    .enabled(if: TestServer.rabbitMQ != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(10))
)
struct AMQPFaultTests {
    /// How many times as long as usual: `FAULT_SCALE`.
    static let scale = max(1, variable("FAULT_SCALE").flatMap { Int($0) } ?? 1)

    /// Whether long runs tell how they fare, on standard error: `FAULT_REPORT`.
    static let isReporting = variable("FAULT_REPORT") != nil

    static func uri() throws -> AMQPURI { try AMQPURI(TestServer.require(.rabbitMQ)) }
}

/// Runs a closure with a proxy in front of a server.
func withProxy(
    to server: AMQPURI,
    seed: UInt64 = 1,
    recordingLimit: Int = 0,
    _ body: (FaultProxy, AMQPURI) async throws -> Void
) async throws {
    let proxy = try FaultProxy(upstream: UInt16(server.port), seed: seed, recordingLimit: recordingLimit)
    defer { proxy.stop() }
    var uri = server
    uri.host = "127.0.0.1"
    uri.port = Int(proxy.port)
    try await body(proxy, uri)
}

/// Runs a closure with a connection that is closed afterwards, whatever happens.
func withConnection(
    to uri: AMQPURI,
    _ change: (inout AMQPConnection.Options) -> Void = { _ in },
    _ body: (AMQPConnection) async throws -> Void
) async throws {
    var options = AMQPConnection.Options()
    options.closeTimeout = .seconds(1)
    change(&options)
    let connection = try await AMQPConnection.connect(to: uri, options: options)
    do {
        try await body(connection)
    } catch {
        await connection.close()
        throw error
    }
    await connection.close()
}

/// The error that an operation throws, or a failure of the test.
func failure(_ body: () async throws -> Void) async -> AMQPError? {
    await #expect(throws: AMQPError.self) { try await body() }
}

/// A value that several tasks change.
final class Shared<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>

    init(_ value: Value) { mutex = Mutex(value) }

    var value: Value {
        get { mutex.withLock { $0 } }
        set { mutex.withLock { $0 = newValue } }
    }

    func change<Result: Sendable>(_ body: @Sendable (inout Value) -> Result) -> Result {
        mutex.withLock { body(&$0) }
    }
}

/// Tells how a long run fares, if that was asked for.
func report(_ text: @autoclosure () -> String) {
    guard AMQPFaultTests.isReporting else { return }
    tell(text())
}

/// Tells how a long run has ended: what its figures are is part of the result.
func tell(_ text: String) {
    FileHandle.standardError.write(Data("\(text)\n".utf8))
}
