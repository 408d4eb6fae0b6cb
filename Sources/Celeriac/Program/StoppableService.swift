internal import CeleriacCore
internal import Synchronization

/// Runs something long while watching for requests to stop it.
///
/// Before it is ready there is nothing to finish, so then any request cancels it; afterwards only the second does, if
/// the service has not stopped by itself.
final class StoppableService: Sendable {
    private struct State {
        var isReady = false
        var wasAsked = false
    }

    private let environment: ProgramEnvironment
    private let state = Mutex(State())

    init(_ environment: ProgramEnvironment) {
        self.environment = environment
    }

    /// Notes that the service has begun to work.
    func isReady() { state.withLock { $0.isReady = true } }

    /// Runs a service until it ends.
    ///
    /// - Throws: What the service throws, unless it was cancelled on request.
    func run(
        _ service: @escaping @Sendable () async throws -> Void,
        onStop stop: @escaping @Sendable (StopRequest) -> Void
    ) async throws {
        enum End: Sendable {
            case service((any Error)?)
            case cancelRequested
        }
        let (cancellations, canceller) = AsyncStream.makeStream(of: Void.self)
        let error = await withTaskGroup(of: End.self) { group in
            group.addTask {
                do {
                    try await service()
                    return .service(nil)
                } catch {
                    return .service(error)
                }
            }
            group.addTask { [self] in
                await environment.watchForStop { [self] request in
                    let cancels = state.withLock { state in
                        defer { state.wasAsked = true }
                        return !state.isReady || request == .immediate
                    }
                    stop(request)
                    if cancels { canceller.yield() }
                }
                return .cancelRequested
            }
            group.addTask {
                for await _ in cancellations { break }
                return .cancelRequested
            }
            var error: (any Error)?
            while let end = await group.next() {
                switch end {
                case .cancelRequested: group.cancelAll()
                case .service(let failure):
                    error = failure
                    group.cancelAll()
                }
            }
            return error
        }
        if let error, !state.withLock({ $0.wasAsked && Self.isCancellation(error) }) { throw error }
    }

    private static func isCancellation(_ error: any Error) -> Bool {
        error is CancellationError || (error as? CeleriacError)?.code == .cancelled
    }
}
