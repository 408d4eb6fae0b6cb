import AMQP

/// What a run measures, from its command line.
struct Settings {
    var measure: String
    /// What the measure is called in the report.
    var name: String
    var count = 0
    var size = 250
    var window = 1000
    var prefetch: UInt16 = 1000
    var isMandatory = true
    var queueType = "classic"

    static let usage = """
        usage: amqp-bench publish|publish-batches|publish-tasks|transactions|drain|memory --count N [--name NAME]
                          [--size OCTETS] [--window W] [--prefetch P] [--mandatory yes|no]
                          [--queue-type classic|quorum]
        """

    /// Reads the arguments after the program's name; `nil` if they make no sense.
    init?(_ arguments: ArraySlice<String>) {
        var rest = arguments
        guard let measure = rest.popFirst() else { return nil }
        self.measure = measure
        name = measure
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { return nil }
            switch option {
            case "--name": name = value
            case "--queue-type": queueType = value
            case "--mandatory" where value == "yes": isMandatory = true
            case "--mandatory" where value == "no": isMandatory = false
            case "--count": count = Int(value) ?? 0
            case "--size": size = Int(value) ?? -1
            case "--window": window = Int(value) ?? 0
            case "--prefetch": prefetch = UInt16(value) ?? 0
            default: return nil
            }
        }
        guard count > 0, size >= 0, window > 0, prefetch > 0 else { return nil }
    }

    var message: AMQPMessage {
        var properties = BasicProperties()
        properties.contentType = "application/json"
        properties.deliveryMode = 2
        return AMQPMessage(
            routingKey: AMQPBench.queue,
            properties: properties,
            body: Array(repeating: UInt8(ascii: "x"), count: size),
            isMandatory: isMandatory
        )
    }
}
