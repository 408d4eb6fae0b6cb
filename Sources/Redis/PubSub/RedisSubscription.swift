internal import Transport

/// One listener's place on a channel; leaving the scope of the last reference ends it.
///
/// Take events with ``next(within:)``, from one task at a time, or iterate. Events that are not taken are kept up to the
/// subscription's buffer; beyond it the oldest are dropped, and ``Event/dropped(_:)`` says so in their place.
public final class RedisSubscription: Sendable, AsyncSequence {
    /// What a listener is told.
    public enum Event: Hashable, Sendable {
        /// A message was published.
        case message([UInt8])
        /// The connection was lost and is back: messages may have been missed, so read what they would have told.
        case resubscribed
        /// So many events were dropped because they were not taken; read what they would have told.
        case dropped(Int)
    }

    /// The channel's name.
    public let channel: String
    let mailbox: Mailbox
    private let subscriber: RedisSubscriber

    init(_ channel: String, _ mailbox: Mailbox, _ subscriber: RedisSubscriber) {
        self.channel = channel
        self.mailbox = mailbox
        self.subscriber = subscriber
    }

    deinit {
        subscriber.loop.execute { [subscriber, mailbox, channel] in
            subscriber.assumeIsolated { $0.leave(mailbox, channel) }
        }
    }

    /// Waits for the next event.
    ///
    /// - Returns: Nothing when the time has passed; the subscription goes on.
    /// - Throws: ``RedisError``: `.closed` after the end, `.cancelled` when the task is cancelled.
    public func next(within timeout: Duration? = nil) async throws(RedisError) -> Event? {
        let loop = subscriber.loop
        let mailbox = mailbox
        let number = mailbox.nextWait()
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let wait = { @Sendable in mailbox.wait(number, continuation, timeout: timeout, on: loop) }
                loop.isOnLoop ? wait() : loop.execute(wait)
            }
        } onCancel: {
            loop.execute { mailbox.cancel(number) }
        }
        return try outcome.get()
    }

    /// Gives the listener an event that does not come from the server, such as what was found out in another way.
    package func tell(_ event: Event) {
        subscriber.loop.execute { [mailbox] in mailbox.put(event) }
    }

    /// Ends the subscription; a waiting ``next(within:)`` throws `.closed`.
    public func cancel() {
        subscriber.loop.execute { [subscriber, mailbox, channel] in
            subscriber.assumeIsolated { $0.leave(mailbox, channel) }
            mailbox.end(RedisError(.closed, "the subscription to \(channel) was cancelled"))
        }
    }

    /// Takes the events one after the other; ends when the subscription is closed.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let subscription: RedisSubscription

        /// The next event, or nothing after the end.
        public mutating func next() async throws(RedisError) -> Event? {
            do {
                return try await subscription.next(within: nil)
            } catch {
                guard error.code == .closed else { throw error }
                return nil
            }
        }
    }

    /// Iterates over the events.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: self) }
}
