internal import AMQP
package import CeleriacCore

extension AMQPBroker: Examinable {
    /// The first version whose quorum queues can hold the delayed calls.
    private static let oldestForDelays = ServerVersion(3, 10)

    /// Connects if need be, and tells what answers.
    package func examine(within timeout: Duration, time: any TimeSource) async -> [Finding] {
        do throws(AMQPError) {
            let connection = try await publishing.connection(before: .now + timeout)
            let began = ContinuousClock.now
            let channel = try await connection.openChannel()
            let elapsed = began.duration(to: .now)
            await channel.close()
            let properties = connection.serverProperties
            return [
                .ok("broker", "logged in at \(address); a channel opens in \(elapsed.asFound)"),
                Self.finding(product: properties["product"]?.string, version: properties["version"]?.string),
            ]
        } catch {
            return [.unusable("broker", CeleriacError(error, attempting: "connect to \(address)"))]
        }
    }

    /// Judges what the server calls itself.
    static func finding(product: String?, version: String?) -> Finding {
        let check = "broker version"
        let name = "\(product ?? "a server without a name") \(version ?? "of unknown version")"
        guard product == "RabbitMQ", let version else {
            return .warn(check, name, advice: "use RabbitMQ; nothing else is tested")
        }
        // One that cannot be read is no known one that can do it.
        if let version = ServerVersion(version), version >= oldestForDelays { return .ok(check, name) }
        return .warn(check, "\(name) cannot hold delayed calls", advice: "use RabbitMQ 3.10 or later")
    }
}
