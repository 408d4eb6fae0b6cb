extension AMQPChannel {
    /// Publishes dead letters once more, each to the queue in which it died last.
    ///
    /// A letter is taken out of its queue only after the broker has confirmed the new message, so that none is lost; one
    /// may be in both if the connection is lost in between. The new message has the body, the properties and the headers
    /// of the letter, without the broker's notes of its deaths, and without the user-id: the broker takes it from its
    /// own user only. It goes to that one queue, by the default exchange, even if it had been published to others as
    /// well: those have had it.
    ///
    /// Looks at no more letters than there are when it begins: one that dies again at once comes behind them, and is not
    /// replayed a second time. In a queue with priorities it may come before others, whose turn it then takes.
    ///
    /// - Parameters:
    ///   - queue: Where the dead letters are kept; not a stream.
    ///   - maximum: How many are published at most.
    ///   - isWanted: Which ones. The others are given back at the end, and stay marked as redelivered; so is one that has
    ///     no notes of its death, as nobody knows where it came from.
    /// - Returns: How many were published.
    /// - Throws: ``AMQPError``: what ends a channel; `.returned` for a letter whose queue is gone, which stays
    ///   where it is, as do all that were not looked at. What was published before stays published.
    @discardableResult
    public func replayDeadLetters(
        in queue: String,
        upTo maximum: Int = .max,
        where isWanted: (AMQPDelivery) -> Bool = { _ in true }
    ) async throws(AMQPError) -> Int {
        var unwanted: [DeliveryTag] = []
        let result = await replay(queue, maximum, isWanted, &unwanted)
        // Not before the end, or the same ones would come again. Of a channel that is gone they go back by themselves.
        for tag in unwanted { _ = try? reject(tag, requeue: true) }
        return try result.get()
    }

    private func replay(
        _ queue: String,
        _ maximum: Int,
        _ isWanted: (AMQPDelivery) -> Bool,
        _ unwanted: inout [DeliveryTag]
    ) async -> Result<Int, AMQPError> {
        var published = 0
        do throws(AMQPError) {
            var left: Int?
            while left != 0, published < maximum, let (letter, behind) = try await nextLetter(in: queue) {
                left = left.map { $0 - 1 } ?? behind
                guard isWanted(letter), let message = AMQPMessage(replaying: letter) else {
                    unwanted.append(letter.tag)
                    continue
                }
                do throws(AMQPError) {
                    try await publish(message)
                } catch {
                    unwanted.append(letter.tag)
                    throw error
                }
                try acknowledge(letter.tag)
                published += 1
            }
            return .success(published)
        } catch {
            return .failure(error)
        }
    }
}

extension AMQPChannel {
    /// Fetches a letter, with how many are behind it: asked for by itself, that number could be of the time before
    /// letters were given back a moment ago.
    private func nextLetter(in queue: String) async throws(AMQPError) -> (AMQPDelivery, behind: Int)? {
        let answer = try await connection.call(.basicGet(.init(queue: queue, noAck: false)), on: self)
        guard let letter = answer.delivery, case .basicGetOk(let ok) = answer.method else { return nil }
        return (letter, Int(ok.messageCount))
    }
}

extension AMQPMessage {
    /// The message that became a dead letter; `nil` without the broker's notes of its death.
    init?(replaying letter: AMQPDelivery) {
        guard let death = letter.properties.deaths.first else { return nil }
        var properties = letter.properties
        properties.userID = nil
        let kept = properties.headers?.fields.filter { name, _ in
            !["x-death", "CC", "BCC"].contains(name) && !name.hasPrefix("x-first-death-")
                && !name.hasPrefix("x-last-death-")
        }
        properties.headers = kept.flatMap { $0.isEmpty ? nil : FieldTable(fields: $0) }
        self.init(routingKey: death.queue, properties: properties, body: letter.body)
    }
}
