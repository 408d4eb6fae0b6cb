import CeleriacCore
import TestSupport
import Testing

/// What every broker driver must do, whatever is behind it.
///
/// A clause makes its own broker and queues, waits by polling, and needs nothing but the protocol. Another driver joins
/// with one parameterised test that calls ``verify(_:)`` for all cases.
enum BrokerContract: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case order = "Delivers in the order published"
    case content = "Carries properties, headers and body unchanged"
    case emptyBody = "Carries an empty body"
    case largeBody = "Carries a body of a megabyte"
    case provenance = "Tells exchange, routing key and queue of a delivery"
    case acknowledged = "Never delivers an acknowledged message again"
    case returned = "Delivers a returned message again, flagged, at its place"
    case rejected = "Drops a rejected message"
    case abandoned = "Takes back a delivery dropped unsettled"
    case prefetch = "Delivers no more than the prefetch before a settlement"
    case prefetchOverQueues = "Counts the prefetch over all queues of a consumer"
    case severalQueues = "Delivers from every queue of a consumer"
    case severalConsumers = "Shares a queue among its consumers"
    case manyWaiters = "Serves every one of many waiting tasks once"
    case lateMessage = "Wakes a waiting task with a message published later"
    case cancelledWait = "Ends a cancelled wait and stays usable"
    case stopReturnsUntaken = "Gives back what a stopped consumer did not take"
    case settleAfterStop = "Accepts settlements after a consumer was stopped"
    case stopEndsWaits = "Ends the waits of a stopped consumer"
    case redeliveryToOthers = "Delivers a returned message to another consumer"
    case messageExpiry = "Never delivers an expired message"
    case queueTTL = "Never delivers a message past its queue's time to live"
    case priorities = "Delivers larger priorities first, in order within each"
    case priorityCap = "Treats priorities above the queue's as its highest"
    case noPriorities = "Ignores priorities in a queue without"
    case delay = "Delivers a delayed message after its time"
    case unroutable = "Refuses a message that no queue takes"
    case missingExchange = "Refuses a message for an exchange that does not exist"
    case declaresRoute = "Declares the queue of a route"
    case declareTwice = "Finds no difference when a queue is declared alike"
    case declareDifferently = "Tells the difference when a queue is declared unlike"
    case depth = "Counts ready messages"
    case depthOfMissing = "Knows no depth of a queue that does not exist"
    case get = "Takes single messages without subscribing"
    case purge = "Purges what is ready, not what is out on delivery"
    case close = "Ends consumers and calls when closed"

    var testDescription: String { rawValue }

    /// Checks the clause against a new broker.
    func verify(_ make: () async throws -> any Broker) async throws {
        let broker = try await make()
        do {
            try await check(broker)
        } catch {
            await broker.close(grace: .seconds(1))
            throw error
        }
        await broker.close(grace: .seconds(1))
    }

    private func check(_ broker: any Broker) async throws {
        switch self {
        case .order: try await Self.order(broker)
        case .content: try await Self.content(broker)
        case .emptyBody: try await Self.body(broker, [])
        case .largeBody: try await Self.body(broker, (0..<1_048_576).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        case .provenance: try await Self.provenance(broker)
        case .acknowledged: try await Self.acknowledged(broker)
        case .returned: try await Self.returned(broker)
        case .rejected: try await Self.rejected(broker)
        case .abandoned: try await Self.abandoned(broker)
        case .prefetch: try await Self.prefetch(broker)
        case .prefetchOverQueues: try await Self.prefetchOverQueues(broker)
        case .severalQueues: try await Self.severalQueues(broker)
        case .severalConsumers: try await Self.severalConsumers(broker)
        case .manyWaiters: try await Self.manyWaiters(broker)
        case .lateMessage: try await Self.lateMessage(broker)
        case .cancelledWait: try await Self.cancelledWait(broker)
        case .stopReturnsUntaken: try await Self.stopReturnsUntaken(broker)
        case .settleAfterStop: try await Self.settleAfterStop(broker)
        case .stopEndsWaits: try await Self.stopEndsWaits(broker)
        case .redeliveryToOthers: try await Self.redeliveryToOthers(broker)
        case .messageExpiry: try await Self.messageExpiry(broker)
        case .queueTTL: try await Self.queueTTL(broker)
        case .priorities: try await Self.priorities(broker)
        case .priorityCap: try await Self.priorityCap(broker)
        case .noPriorities: try await Self.noPriorities(broker)
        case .delay: try await Self.delay(broker)
        case .unroutable: try await Self.unroutable(broker)
        case .missingExchange: try await Self.missingExchange(broker)
        case .declaresRoute: try await Self.declaresRoute(broker)
        case .declareTwice: try await Self.declareTwice(broker)
        case .declareDifferently: try await Self.declareDifferently(broker)
        case .depth: try await Self.depth(broker)
        case .depthOfMissing: #expect(try await broker.depth(of: uniqueQueue().name) == nil)
        case .get: try await Self.get(broker)
        case .purge: try await Self.purge(broker)
        case .close: try await Self.close(broker)
        }
    }
}
