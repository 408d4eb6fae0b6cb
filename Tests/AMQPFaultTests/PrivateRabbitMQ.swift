import AMQP
import FleetSupport
import Foundation
import TestSupport

/// A RabbitMQ of a test's own, alone or as a node of a cluster, which the test may kill and freeze.
struct PrivateRabbitMQ: Sendable {
    /// The script that runs servers, from `CELERIAC_SERVERS`.
    static let script = variable("CELERIAC_SERVERS")

    let uri: AMQPURI
    private let directory: String

    /// Starts one for the duration of a closure.
    static func with(_ body: (PrivateRabbitMQ) async throws -> Void) async throws {
        try await within { directory in
            let url = try await run(["start", "rabbitmq", directory], directory)
            try await body(PrivateRabbitMQ(uri: AMQPURI(url), directory: directory))
        }
    }

    /// Starts a cluster of three for the duration of a closure.
    static func withCluster(_ body: ([PrivateRabbitMQ]) async throws -> Void) async throws {
        try await within { directory in
            let urls = try await run(["cluster", directory], directory).split(separator: "\n")
            try await body(
                urls.enumerated().map { number, url in
                    PrivateRabbitMQ(uri: try AMQPURI(String(url)), directory: "\(directory)/\(number + 1)")
                }
            )
        }
    }

    private static func within(_ body: (String) async throws -> Void) async throws {
        try await ServerTurn.take { try await start(body) }
    }

    private static func start(_ body: (String) async throws -> Void) async throws {
        let directory =
            "\(variable("CELERIAC_SERVERS_DIR") ?? NSTemporaryDirectory())/amqp-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let result: Result<Void, any Error>
        do { result = .success(try await body(directory)) } catch { result = .failure(error) }
        // Not a child: the servers must end even when the test was cancelled.
        await Task { _ = try? await run(["clear", directory], NSTemporaryDirectory()) }.value
        try result.get()
    }

    func kill() async throws { _ = try await Self.run(["kill", "rabbitmq", directory], directory) }
    func start() async throws { _ = try await Self.run(["start", "rabbitmq", directory], directory) }

    /// Runs `rabbitmqctl` and returns what it prints.
    @discardableResult
    func control(_ arguments: String...) async throws -> String {
        try await Self.run(["control", "rabbitmq", directory] + arguments, directory)
    }

    /// Whether this is the node with a name that the cluster goes by.
    func isNode(_ name: Substring) -> Bool { name.hasPrefix("celeriac-\(uri.port)@") }

    /// Its name among Erlang nodes.
    private var node: String { "celeriac-\(uri.port)@localhost" }

    /// Lets the nodes of a cluster make up their minds about partitions: the smaller part pauses.
    func pauseMinority() async throws {
        try await control("-q", "eval", "application:set_env(rabbit, cluster_partition_handling, pause_minority).")
    }

    /// Cuts the links between this node and others, or lets them come about again; clients are not affected.
    ///
    /// Without a common secret, nodes cannot connect to each other again.
    func partition(from others: [PrivateRabbitMQ], _ isCut: Bool) async throws {
        let secret = isCut ? "partition" : "erlang:get_cookie()"
        let names = others.map { "'\($0.node)'" }.joined(separator: ", ")
        // All at once, or the others would find that one of them still sees what another does not.
        let cut = isCut ? "lists:foreach(fun erlang:disconnect_node/1, Nodes)" : "ok"
        let change = "lists:foreach(fun(Node) -> erlang:set_cookie(Node, \(secret)) end, Nodes)"
        try await control("-q", "eval", "Nodes = [\(names)], \(change), \(cut).")
    }

    /// Waits until the node, which had paused itself, serves clients again.
    func awaitReturn() async throws {
        try await eventually(within: .seconds(60), every: .milliseconds(200), "\(uri.port) is back") {
            guard let connection = try? await AMQPConnection.connect(to: uri) else { return false }
            await connection.close()
            return true
        }
    }

    /// The server's process.
    func pid() async throws -> Int32 {
        guard let pid = Int32(try await Self.run(["pid", "rabbitmq", directory], directory)) else {
            throw NotInTime(description: "the server has no pid")
        }
        return pid
    }

    private static func run(_ arguments: [String], _ directory: String) async throws -> String {
        guard let script else { throw NotInTime(description: "CELERIAC_SERVERS is not set") }
        let process = try ChildProcess("server-\(arguments[0])", script, arguments, directory: directory)
        do {
            guard try await process.wait(within: .seconds(90)) == .exit(0) else {
                throw NotInTime(description: process.transcript)
            }
        } catch {
            await process.destroy()
            throw error
        }
        return process.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
