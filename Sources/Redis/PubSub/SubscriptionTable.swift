/// Who listens to which channel, and what the server knows of it: a subscriber's decisions, without the connection.
///
/// A channel is asked for once, however many listen, and given up when the last one leaves. Answers are matched to
/// commands by their order, because a channel left and joined again in one turn has two answers under way.
package struct SubscriptionTable: Sendable {
    package typealias ID = UInt64

    /// What to write.
    package enum Command: Hashable, Sendable {
        case subscribe(String)
        case unsubscribe(String)
        case ping
    }

    /// What joining needs.
    package enum Joined: Equatable, Sendable {
        /// The server listens to this channel for us already.
        case active
        /// The confirmation is on its way, or comes after the next connection.
        case waits
        /// Send this; the confirmation follows.
        case send(Command)
    }

    /// What a reply meant.
    package enum Event: Equatable, Sendable {
        case none
        /// These listeners' subscription is in effect; the second list had one before and may have missed messages.
        case confirmed([ID], resumed: [ID])
        case message([ID], [UInt8])
        case refused([ID], String)
        /// The server said what it could not have said.
        case violation(String)
    }

    private enum Status: Equatable {
        case wanted
        case asked(ticket: UInt64)
        case active
    }

    private struct Channel {
        var status: Status
        /// The value says whether the listener has been confirmed before.
        var listeners: [(id: ID, isConfirmed: Bool)]
    }

    private enum Outstanding {
        case subscribe(String, ticket: UInt64)
        case unsubscribe
        case ping
    }

    private var channels: [String: Channel] = [:]
    private var outstanding = FIFO<Outstanding>()
    private var lastTicket: UInt64 = 0
    private var isConnected = false

    package init() {}

    package var isEmpty: Bool { channels.isEmpty }
    package var channelCount: Int { channels.count }
    /// Commands sent and not yet answered.
    package var outstandingCount: Int { outstanding.count }

    package mutating func join(_ id: ID, _ name: String) -> Joined {
        if var channel = channels.removeValue(forKey: name) {
            let isActive = channel.status == .active
            channel.listeners.append((id, isActive))
            channels[name] = channel
            return isActive ? .active : .waits
        }
        channels[name] = Channel(status: .wanted, listeners: [(id, false)])
        return isConnected ? .send(ask(name)) : .waits
    }

    package mutating func leave(_ id: ID, _ name: String) -> Command? {
        guard var channel = channels.removeValue(forKey: name) else { return nil }
        channel.listeners.removeAll { $0.id == id }
        guard channel.listeners.isEmpty else {
            channels[name] = channel
            return nil
        }
        guard channel.status != .wanted, isConnected else { return nil }
        outstanding.append(.unsubscribe)
        return .unsubscribe(name)
    }

    /// Asks whether the server is there.
    package mutating func ping() -> Command {
        outstanding.append(.ping)
        return .ping
    }

    /// A new connection is there; returns what to ask it for.
    package mutating func connected() -> [Command] {
        isConnected = true
        return channels.keys.map { ask($0) }
    }

    /// The connection is lost; every channel is to be asked for again.
    package mutating func disconnected() {
        isConnected = false
        outstanding = FIFO()
        for name in channels.keys { channels[name]?.status = .wanted }
    }

    private mutating func ask(_ name: String) -> Command {
        lastTicket += 1
        channels[name]?.status = .asked(ticket: lastTicket)
        outstanding.append(.subscribe(name, ticket: lastTicket))
        return .subscribe(name)
    }

    package mutating func received(_ reply: RESPValue) -> Event {
        switch reply {
        case .array(let parts): received(parts)
        case .error(let text): refused(text)
        case .simple: answered(kind: "pong")
        case .integer, .bulk, .null: .violation("a reply that is no message")
        }
    }

    private mutating func received(_ parts: [RESPValue]) -> Event {
        guard let kind = parts.first?.string else { return .violation("a message without a kind") }
        guard kind == "message" else { return answered(kind: kind) }
        guard parts.count == 3, let name = parts[1].string, case .bulk(let payload) = parts[2] else {
            return .violation("a message of an unknown form")
        }
        // Messages of a channel that everybody has left may still be on their way.
        guard let channel = channels[name] else { return .none }
        return .message(channel.listeners.map(\.id), payload)
    }

    private mutating func answered(kind: String) -> Event {
        switch (kind, outstanding.popFirst()) {
        case ("subscribe", .subscribe(let name, let ticket)): return confirmed(name, ticket)
        case ("unsubscribe", .unsubscribe), ("pong", .ping): return .none
        default: return .violation("the answer \(kind) to another command")
        }
    }

    private mutating func confirmed(_ name: String, _ ticket: UInt64) -> Event {
        guard var channel = channels.removeValue(forKey: name) else { return .none }
        defer { channels[name] = channel }
        guard channel.status == .asked(ticket: ticket) else { return .none }
        channel.status = .active
        let new = channel.listeners.filter { !$0.isConfirmed }.map(\.id)
        let resumed = channel.listeners.filter(\.isConfirmed).map(\.id)
        channel.listeners = channel.listeners.map { ($0.id, true) }
        return .confirmed(new, resumed: resumed)
    }

    private mutating func refused(_ text: String) -> Event {
        guard case .subscribe(let name, let ticket) = outstanding.popFirst() else {
            return .violation("an error outside of a subscription: \(text)")
        }
        guard let channel = channels[name], channel.status == .asked(ticket: ticket) else { return .none }
        channels[name] = nil
        return .refused(channel.listeners.map(\.id), text)
    }
}
