internal import Transport

/// A lane of a connection: topology, publishing and consuming with an order and an error scope of its own.
///
/// An error of one channel closes it and leaves the others alone. Usable from any task; methods wait for the broker's
/// answer up to `Options.callTimeout`, and cancelling ends the wait only.
public final class AMQPChannel: Sendable {
    /// The connection that the channel runs over.
    public let connection: AMQPConnection
    /// The number of the channel on its connection.
    public let number: UInt16

    package let instance: UInt64
    let mailbox: ChannelMailbox

    init(connection: AMQPConnection, number: UInt16, instance: UInt64, mailbox: ChannelMailbox) {
        self.connection = connection
        self.number = number
        self.instance = instance
        self.mailbox = mailbox
    }

    /// Why the channel is closed, once it is.
    public var closeReason: AMQPError? { mailbox.closeReason }

    /// Calls back once when the channel is closed, or at once if it is; the callback must not block.
    func onClose(_ body: @escaping @Sendable (AMQPError) -> Void) {
        mailbox.onClose(body)
    }

    /// Closes the channel: settlements already asked for are sent first.
    ///
    /// What still runs on it fails with `.closed`.
    public func close() async {
        await connection.close(self)
    }

    /// Closes the channel without waiting for the broker: settlements already asked for are sent first.
    ///
    /// Callable from any thread; returns at once.
    package func closeLater() {
        connection.loop.execute { [self] in
            connection.assumeIsolated { connection in
                guard let core = connection.channels[number], core.instance == instance, closeReason == nil else {
                    return
                }
                connection.drain(core)
                let reason = AMQPError(.closed, "channel \(number) was closed by this side")
                connection.beginClosing(core, nil, because: reason)
            }
        }
    }

    /// Has the loop look at the mailbox.
    func wake() {
        connection.loop.execute { [self] in
            connection.assumeIsolated { connection in
                guard let core = connection.channels[number], core.instance == instance else { return }
                connection.drain(core)
            }
        }
    }
}
