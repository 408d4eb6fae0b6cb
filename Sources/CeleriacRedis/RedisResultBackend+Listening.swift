internal import CeleriacCore
internal import Redis
internal import Synchronization

extension RedisResultBackend {
    /// Channels that are asked for before the first answer; all travel on the subscriber's one connection.
    private static let window = 256

    func listen(
        to tasks: [TaskID],
        within timeout: Duration,
        onEvent: @escaping @Sendable (ResultEvent) -> Void
    ) async throws(CeleriacError) -> any ResultListening {
        let subscriber = link.subscriber
        let poller = poller
        let deadline = ContinuousClock.now + timeout
        let listening = Listening()
        let failure = await withTaskGroup(of: RedisError?.self) { group -> RedisError? in
            var underway = 0
            for task in tasks {
                if underway == Self.window {
                    underway -= 1
                    if let failure = await group.next() ?? nil {
                        group.cancelAll()
                        return failure
                    }
                }
                underway += 1
                group.addTask {
                    do throws(RedisError) {
                        let subscription = try await subscriber.subscribe(
                            to: Self.key(of: task),
                            timeout: max(.milliseconds(1), ContinuousClock.now.duration(to: deadline))
                        ) { event in onEvent(event == nil ? .closed : .stored(task)) }
                        let watch = poller.watch(task) { _ in onEvent(.stored(task)) }
                        listening.hold(subscription, watch, for: task)
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            for await failure in group {
                guard let failure else { continue }
                group.cancelAll()
                return failure
            }
            return nil
        }
        if let failure { throw CeleriacError(failure, attempting: "listen to \(tasks.count) tasks") }
        return listening
    }

    /// A subscription for each task; dropping one leaves its channel.
    private final class Listening: ResultListening {
        private struct Place {
            let subscription: RedisSubscription
            let watch: RecordPoller.Watch
        }

        private let places = Mutex<[TaskID: Place]>([:])

        func hold(_ subscription: RedisSubscription, _ watch: RecordPoller.Watch, for task: TaskID) {
            places.withLock { $0[task] = Place(subscription: subscription, watch: watch) }
        }

        func leave(_ task: TaskID) {
            _ = places.withLock { $0.removeValue(forKey: task) }
        }
    }
}
