internal import Synchronization

/// A Lua script that the server keeps by the digest of its text.
///
/// The digest is the server's own answer to `SCRIPT LOAD`, asked once; it depends on the text alone, so it outlives
/// connections and restarts.
public final class RedisScript: Sendable {
    /// The script's text.
    public let source: String
    private let learned = Mutex<String?>(nil)

    /// Makes a script; the server sees it when it is first run.
    public init(_ source: String) {
        self.source = source
    }

    var digest: String? { learned.withLock { $0 } }
    var loadCommand: RedisCommand { RedisCommand("SCRIPT", "LOAD", source) }

    func learn(_ digest: String) {
        learned.withLock { $0 = digest }
    }

    /// The script as an `EVAL` command with its whole text, for pipelines and transactions.
    public func command(keys: [String] = [], arguments: RedisArguments = []) -> RedisCommand {
        var command = RedisCommand("EVAL", source, keys.count)
        command.append(contentsOf: keys)
        command.append(contentsOf: arguments)
        return command
    }
}
