import AMQP
import ProcessSupport
import TestSupport
import Testing

/// The command line tool of a broker that `Scripts/server.sh` has started.
struct Control: Sendable {
    /// Where the broker keeps its state.
    let directory: String

    /// The tool of the broker that all tests share.
    static func shared() throws -> Control { Control(directory: try #require(ServerScript.parent)) }

    /// Runs the tool and returns what it prints.
    @discardableResult
    func callAsFunction(_ arguments: String...) async throws -> String {
        try await ServerScript.run(["control", "rabbitmq", directory, "-q"] + arguments)
    }

    /// Gives a test the broker that those of its suite may restart and make suffer, one after the other.
    static func withOwnBroker(_ body: (_ uri: AMQPURI, _ broker: OwnBroker) async throws -> Void) async throws {
        let broker = try #require(OwnBroker.current)
        // The last test may have left it stopped; one that runs is left as it is.
        try await body(try AMQPURI(try await broker.perform("start")), broker)
    }
}

/// A broker of one test's own.
struct OwnBroker: Sendable {
    fileprivate let directory: String

    var control: Control { Control(directory: directory) }

    /// `start`, `stop`, `kill` or `restart`.
    @discardableResult
    func perform(_ action: String) async throws -> String {
        try await ServerScript.run(action, "rabbitmq", directory)
    }

    /// Of the suite that runs.
    @TaskLocal fileprivate static var current: OwnBroker?

    /// Runs a closure with a broker for its tests, which is cleared away afterwards.
    fileprivate static func provide(_ body: @concurrent @Sendable () async throws -> Void) async throws {
        try await ServerScript.withDirectory("conformance") { directory in
            try await $current.withValue(OwnBroker(directory: directory)) { try await body() }
        }
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
