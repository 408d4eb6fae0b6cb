import AMQP
import ProcessSupport
import TestSupport

/// A RabbitMQ of a test's own, alone or as a node of a cluster, which the test may kill and freeze.
struct PrivateRabbitMQ: Sendable {
    let uri: AMQPURI
    private let directory: String

    /// Starts one for the duration of a closure.
    static func with(_ body: (PrivateRabbitMQ) async throws -> Void) async throws {
        try await within { directory in
            let url = try await ServerScript.run("start", "rabbitmq", directory)
            try await body(PrivateRabbitMQ(uri: AMQPURI(url), directory: directory))
        }
    }

    /// Starts a cluster of three for the duration of a closure.
    static func withCluster(_ body: ([PrivateRabbitMQ]) async throws -> Void) async throws {
        try await within { directory in
            let urls = try await ServerScript.run("cluster", directory).split(separator: "\n")
            try await body(
                urls.enumerated().map { number, url in
                    PrivateRabbitMQ(uri: try AMQPURI(String(url)), directory: "\(directory)/\(number + 1)")
                }
            )
        }
    }

    private static func within(_ body: (String) async throws -> Void) async throws {
        try await ServerTurn.take { try await ServerScript.withDirectory("amqp", body) }
    }

    func kill() async throws { try await ServerScript.run("kill", "rabbitmq", directory) }
    func start() async throws { try await ServerScript.run("start", "rabbitmq", directory) }

    /// Runs `rabbitmqctl` and returns what it prints.
    @discardableResult
    func control(_ arguments: String...) async throws -> String {
        try await ServerScript.run(["control", "rabbitmq", directory] + arguments)
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
        guard let pid = Int32(try await ServerScript.run("pid", "rabbitmq", directory)) else {
            throw NotInTime(description: "the server has no pid")
        }
        return pid
    }
}
