import AMQP
import Foundation
import TestSupport
import Testing

/// The command line tool of a broker that `Scripts/server.sh` has started.
struct Control: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Where the broker keeps its state.
    let directory: String

    fileprivate static func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }

    static var isAvailable: Bool {
        variable("CELERIAC_SERVERS_DIR") != nil && variable("CELERIAC_SERVERS") != nil
    }

    /// The tool of the broker that all tests share.
    static func shared() throws -> Control {
        Control(directory: try #require(variable("CELERIAC_SERVERS_DIR")))
    }

    /// Runs the tool and returns what it prints.
    @discardableResult
    func callAsFunction(_ arguments: String...) async throws -> String {
        try await Self.run(
            #require(Self.variable("CELERIAC_SERVERS")),
            ["control", "rabbitmq", directory, "-q"] + arguments
        )
    }

    /// Gives a test the broker that those of its suite may restart and make suffer, one after the other.
    static func withOwnBroker(_ body: (_ uri: AMQPURI, _ broker: OwnBroker) async throws -> Void) async throws {
        let broker = try #require(OwnBroker.current)
        // The last test may have left it stopped; one that runs is left as it is.
        try await body(try AMQPURI(try await broker.perform("start")), broker)
    }

    fileprivate static func run(
        _ program: String,
        _ arguments: [String]
    ) async throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        // Into a file: whatever the program leaves running would hold a pipe open.
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("conformance-\(UUID().uuidString)")
        try Data().write(to: path)
        defer { try? FileManager.default.removeItem(at: path) }
        let output = try FileHandle(forWritingTo: path)
        process.standardOutput = output
        process.standardError = output
        let (ends, continuation) = AsyncStream<Int32>.makeStream()
        process.terminationHandler = {
            continuation.yield($0.terminationStatus)
            continuation.finish()
        }
        try process.run()
        let status = await ends.first { _ in true }
        let text = try String(contentsOf: path, encoding: .utf8)
        guard status == 0 else {
            throw Failure(description: "\(program) \(arguments.joined(separator: " ")) failed: \(text)")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

/// A broker of one test's own.
struct OwnBroker: Sendable {
    fileprivate let script: String
    fileprivate let directory: String

    var control: Control { Control(directory: directory) }

    /// `start`, `stop`, `kill` or `restart`.
    @discardableResult
    func perform(_ action: String) async throws -> String {
        try await Control.run(script, [action, "rabbitmq", directory])
    }

    fileprivate func clear() async throws {
        _ = try await Control.run(script, ["clear", directory])
    }

    /// Of the suite that runs.
    @TaskLocal fileprivate static var current: OwnBroker?

    /// Runs a closure with a broker for its tests, which is cleared away afterwards.
    fileprivate static func provide(_ body: @concurrent @Sendable () async throws -> Void) async throws {
        let script = try #require(Control.variable("CELERIAC_SERVERS"))
        let directory = try #require(Control.variable("CELERIAC_SERVERS_DIR"))
        let broker = OwnBroker(script: script, directory: "\(directory)/conformance-\(UUID().uuidString.prefix(8))")
        do {
            try await $current.withValue(broker) { try await body() }
        } catch {
            try await broker.clear()
            throw error
        }
        try await broker.clear()
    }
}

/// Gives the tests of a suite a broker of their own, together: most of the time of one that each had would go by
/// starting it.
struct OwnBrokerTrait: SuiteTrait, TestScoping {
    @concurrent func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await ServerTurn.take { try await OwnBroker.provide(function) }
    }
}
