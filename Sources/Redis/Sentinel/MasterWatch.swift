internal import Synchronization
package import Transport

/// Listens to sentinels for fail-overs, so that clients leave the former master at once, not when it hangs up.
///
/// A master that is cut off from the rest neither answers nor hangs up, and a client would wait for its deadlines. All
/// sentinels are listened to, each over a connection of its own: the one that is asked may be cut off as well.
package final class MasterWatch: Sendable {
    private enum State {
        case idle
        case running([RedisSubscriber], [Task<Void, Never>])
        case closed
    }

    private let sentinels: RedisSentinels
    private let configuration: RedisConfiguration
    private let onSwitch: @Sendable (Endpoint) -> Void
    private let state = Mutex(State.idle)

    /// A watch that has not begun.
    ///
    /// - Parameter onSwitch: Called on an event loop with the new master's address, once by each sentinel. Must be quick.
    /// - Returns: Nothing for a configuration without sentinels.
    package init?(_ configuration: RedisConfiguration, onSwitch: @escaping @Sendable (Endpoint) -> Void) {
        guard let sentinels = configuration.url.sentinels else { return nil }
        self.sentinels = sentinels
        self.configuration = configuration
        self.onSwitch = onSwitch
    }

    /// Begins to listen, unless it has begun.
    package func start() {
        state.withLock { state in
            guard case .idle = state else { return }
            let subscribers = sentinels.endpoints.map {
                RedisSubscriber(configuration.asking($0, of: sentinels))
            }
            // Each ends with its subscriber, as `close` has it do and waits for.
            let tasks = subscribers.map { subscriber in Task { await listen(subscriber) } }
            state = .running(subscribers, tasks)
        }
    }

    private func listen(_ subscriber: RedisSubscriber) async {
        do throws(RedisError) {
            // A sentinel that is away is waited for; one that refuses the credentials for good is done without.
            let subscription = try await subscriber.subscribe(to: "+switch-master", timeout: .seconds(1_000_000_000))
            while let event = try await subscription.next() {
                guard case .message(let payload) = event,
                    let master = Self.newMaster(String(decoding: payload, as: UTF8.self), named: sentinels.master)
                else { continue }
                onSwitch(master)
            }
        } catch {
            // Searching for the master finds it as well, only later.
            return
        }
    }

    /// The address in `<name> <old host> <old port> <new host> <new port>`; nothing if another master is meant.
    package static func newMaster(_ message: String, named name: String) -> Endpoint? {
        let words = message.split(separator: " ")
        guard words.count == 5, words[0] == name, let port = Int(words[4]), (1...65535).contains(port) else {
            return nil
        }
        return .tcp(host: String(words[3]), port: port)
    }

    /// Ends the connections.
    package func close() async {
        let before = state.withLock { state in
            defer { state = .closed }
            return state
        }
        guard case .running(let subscribers, let tasks) = before else { return }
        for subscriber in subscribers { await subscriber.close() }
        for task in tasks { await task.value }
    }
}
