/// Something that recovery brings back after a connection was lost.
public enum RecoverableEntity: Hashable, Sendable {
    /// An exchange that was declared.
    case exchange(AMQPExchange)
    /// A queue that was declared; one named by the server has its present name.
    case queue(AMQPQueue)
    /// A binding that was made.
    case binding(AMQPBinding)
    /// A consumer that was started, with its tag.
    case consumer(queue: String, tag: String)
}

/// What a client has declared and not deleted, in order, so that it can be declared again.
///
/// Follows what the broker does by itself: the bindings of what is deleted go with it, an automatically deleted queue
/// goes with its last consumer, such an exchange with its last binding.
package struct RecordedTopology: Sendable {
    private struct Entry<Value: Sendable>: Sendable {
        let order: Int
        var value: Value
    }

    private var exchanges: [String: Entry<AMQPExchange>] = [:]
    private var queues: [String: Entry<(queue: AMQPQueue, isServerNamed: Bool)>] = [:]
    private var bindings: [AMQPBinding: Int] = [:]
    /// Earlier names of queues that the server names anew with each connection.
    private var aliases: [String: String] = [:]
    private var lastOrder = 0

    package init() {}

    // MARK: Recording

    /// Notes an operation that the broker has performed.
    package mutating func record(_ operation: TopologyOperation, _ answer: TopologyAnswer) {
        switch operation {
        case .declareExchange(_, passive: true), .declareQueue(_, passive: true), .purgeQueue: break
        case .declareExchange(let exchange, passive: false):
            exchanges[exchange.name] = Entry(order: exchanges[exchange.name]?.order ?? next(), value: exchange)
        case .declareQueue(var queue, passive: false):
            let isServerNamed = queue.name.isEmpty
            if case .queue(let state) = answer { queue.name = state.name }
            queues[queue.name] = Entry(order: queues[queue.name]?.order ?? next(), value: (queue, isServerNamed))
        case .bind(let binding):
            // The empty name means the channel's last declared queue, which another channel does not know.
            if bindings[binding] == nil, binding.destination != .queue("") { bindings[binding] = next() }
        case .deleteExchange(let name, _): forgetExchange(name)
        case .deleteQueue(let name, _, _): forgetQueue(name)
        case .unbind(let binding): forget([binding])
        }
    }

    /// Notes that a queue has lost its last consumer of this client.
    package mutating func lastConsumerLeft(_ queue: String) {
        if queues[queue]?.value.queue.isAutoDelete == true { forgetQueue(queue) }
    }

    /// Drops an entity that must not be brought back.
    package mutating func forget(_ entity: RecoverableEntity) {
        switch entity {
        case .exchange(let exchange): forgetExchange(exchange.name)
        case .queue(let queue): forgetQueue(queue.name)
        case .binding(let binding): forget([binding])
        case .consumer: break
        }
    }

    private mutating func next() -> Int {
        lastOrder += 1
        return lastOrder
    }

    private mutating func forgetQueue(_ name: String) {
        queues[name] = nil
        for (alias, present) in aliases where present == name { aliases[alias] = nil }
        forget(bindings.keys.filter { $0.destination == .queue(name) })
    }

    private mutating func forgetExchange(_ name: String) {
        guard exchanges.removeValue(forKey: name) != nil || bindings.keys.contains(where: { $0.source == name }) else {
            return
        }
        forget(bindings.keys.filter { $0.source == name || $0.destination == .exchange(name) })
    }

    private mutating func forget(_ gone: [AMQPBinding]) {
        var sources: Set<String> = []
        for binding in gone where bindings.removeValue(forKey: binding) != nil { sources.insert(binding.source) }
        for source in sources where exchanges[source]?.value.isAutoDelete == true {
            if !bindings.keys.contains(where: { $0.source == source }) { forgetExchange(source) }
        }
    }

    // MARK: Restoring

    /// Everything, in the order in which it can be declared.
    package var entities: [RecoverableEntity] {
        exchanges.values.sorted { $0.order < $1.order }.map { .exchange($0.value) }
            + bindings(where: { $0.isBetweenExchanges })
            + queues.values.sorted { $0.order < $1.order }.map { .queue($0.value.queue) }
            + bindings(where: { !$0.isBetweenExchanges })
    }

    /// A queue with its bindings; nothing, if it is not recorded.
    package func entities(of queue: String) -> [RecoverableEntity] {
        guard let entry = queues[queue] else { return [] }
        return [.queue(entry.value.queue)] + bindings(where: { $0.destination == .queue(queue) })
    }

    private func bindings(where isIncluded: (AMQPBinding) -> Bool) -> [RecoverableEntity] {
        bindings.filter { isIncluded($0.key) }.sorted { $0.value < $1.value }.map { .binding($0.key) }
    }

    /// Whether an entity is recorded as it is.
    func contains(_ entity: RecoverableEntity) -> Bool {
        switch entity {
        case .exchange(let exchange): exchanges[exchange.name]?.value == exchange
        case .queue(let queue): queues[queue.name]?.value.queue == queue
        case .binding(let binding): bindings[binding] != nil
        case .consumer: false
        }
    }

    /// What brings an entity back; `nil` for a consumer.
    package func operation(restoring entity: RecoverableEntity) -> TopologyOperation? {
        switch entity {
        case .exchange(let exchange): return .declareExchange(exchange, passive: false)
        case .queue(var queue):
            if queues[queue.name]?.value.isServerNamed == true { queue.name = "" }
            return .declareQueue(queue, passive: false)
        case .binding(let binding): return .bind(binding)
        case .consumer: return nil
        }
    }

    /// Notes the name under which the server has brought a queue back; its bindings follow.
    package mutating func renamed(_ old: String, to new: String) {
        guard old != new, var entry = queues.removeValue(forKey: old) else { return }
        entry.value.queue.name = new
        queues[new] = entry
        for (binding, order) in bindings where binding.destination == .queue(old) {
            bindings[binding] = nil
            bindings[binding.renaming(old, to: new)] = order
        }
        for (alias, present) in aliases where present == old { aliases[alias] = new }
        aliases[old] = new
    }

    /// The present name of a queue that had a name chosen by the server.
    package func currentName(_ queue: String) -> String { aliases[queue] ?? queue }

    /// The operation with the present names of the queues it names.
    package func translated(_ operation: TopologyOperation) -> TopologyOperation {
        guard !aliases.isEmpty else { return operation }
        switch operation {
        case .declareExchange, .deleteExchange: return operation
        case .declareQueue(var queue, let passive):
            queue.name = currentName(queue.name)
            return .declareQueue(queue, passive: passive)
        case .deleteQueue(let name, let ifUnused, let ifEmpty):
            return .deleteQueue(currentName(name), ifUnused: ifUnused, ifEmpty: ifEmpty)
        case .purgeQueue(let name): return .purgeQueue(currentName(name))
        case .bind(let binding): return .bind(translated(binding))
        case .unbind(let binding): return .unbind(translated(binding))
        }
    }

    private func translated(_ binding: AMQPBinding) -> AMQPBinding {
        guard case .queue(let name) = binding.destination else { return binding }
        return binding.renaming(name, to: currentName(name))
    }
}

extension AMQPBinding {
    var isBetweenExchanges: Bool {
        if case .exchange = destination { true } else { false }
    }

    func renaming(_ old: String, to new: String) -> AMQPBinding {
        guard destination == .queue(old) else { return self }
        var binding = self
        binding.destination = .queue(new)
        // The routing key stays: whoever publishes knows nothing of the new name.
        return binding
    }
}

extension RecoverableEntity {
    func renaming(_ old: String, to new: String) -> RecoverableEntity {
        switch self {
        case .queue(var queue) where queue.name == old:
            queue.name = new
            return .queue(queue)
        case .binding(let binding): return .binding(binding.renaming(old, to: new))
        case .exchange, .queue, .consumer: return self
        }
    }

    /// The queue without which it cannot be brought back.
    var neededQueue: String? {
        switch self {
        case .binding(let binding): if case .queue(let name) = binding.destination { name } else { nil }
        case .consumer(let queue, _): queue
        case .exchange, .queue: nil
        }
    }
}
