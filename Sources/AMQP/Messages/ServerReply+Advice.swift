extension ServerReply {
    /// What the broker's words mean and what to do, where that can be said.
    public var advice: String? {
        switch code {
        case .accessRefused: accessAdvice
        case .notFound: "declare it first, or check its name and the virtual host"
        case .resourceLocked:
            "it belongs to the connection that declared it as exclusive: use that connection, or another name"
        case .preconditionFailed: preconditionAdvice
        case .commandInvalid where text.contains("unknown exchange type"):
            "the broker has no plugin for this type: enable it with rabbitmq-plugins, or choose another type"
        case .notImplemented: notImplementedAdvice
        case .connectionForced: "the broker was stopped, or an operator closed the connection: connect again"
        case .contentTooLarge: "send a smaller body, or raise the limit of the side that refused it"
        case .resourceError: "the broker is short of memory, files or channels"
        default: nil
        }
    }

    private var accessAdvice: String? {
        if text.contains("reserved prefix") { return "names that begin with \"amq.\" are the broker's own" }
        if text.contains("in exclusive use") { return "a consumer has, or wants, the queue for itself" }
        if text.contains("internal exchange") { return "only other exchanges may publish to it: bind it to one" }
        if text.contains("system exchange") || text.contains("default exchange") { return "it is the broker's own" }
        if text.contains("login was refused") || text.contains("Login was refused") {
            return "check user and password; the user guest may log in from the broker's own machine only"
        }
        let permission: String? =
            switch method {
            case "exchange.declare", "exchange.delete", "queue.declare", "queue.delete":
                "configure, and with a dead-letter or alternate exchange to read and to write"
            case "basic.publish": "write to the exchange"
            case "basic.get", "basic.consume", "queue.purge": "read from the queue"
            case "queue.bind", "queue.unbind": "write to the queue and to read from the exchange"
            case "exchange.bind", "exchange.unbind": "write to the destination and to read from the source"
            default: nil
            }
        return permission.map { "the user lacks the permission to \($0): grant it with rabbitmqctl set_permissions" }
    }

    private var preconditionAdvice: String? {
        if let conflict {
            let existing = conflict.existing.map { "= \($0)" } ?? "not set"
            let declared = conflict.declared.map { "= \($0)" } ?? "not set"
            return "the existing one has \(conflict.argument) \(existing), the declaration has it \(declared): "
                + "declare it as it is, or delete it first"
        }
        if text.contains("unknown delivery tag") { return "a delivery was settled twice" }
        if text.contains("delivery acknowledgement") {
            return "settle within the broker's consumer timeout, or raise it for the queue"
        }
        if text.contains("user_id property") {
            return "leave userID out, or set it to the user that the connection logged in as"
        }
        if text.contains("message size") {
            return "the limit is the broker's max_message_size: keep large bodies elsewhere, and send where they are"
        }
        if text.contains("invalid expiration") {
            return "an expiration is whole milliseconds, in digits: set it by timeToLive"
        }
        if text.contains("prefetch count is not set") { return "the consumer of a stream needs a prefetch" }
        if text.contains("of queue type") { return "this type of queue does not take the argument" }
        if text.hasSuffix("in use") { return "it still has consumers or bindings, and was to be deleted if unused" }
        if text.hasSuffix("not empty") { return "it still has messages, and was to be deleted if empty" }
        if text.contains("cannot switch from") { return "a channel either confirms or is transactional: open another" }
        if text.contains("not transactional") { return "select transactions first" }
        return nil
    }

    private var notImplementedAdvice: String? {
        if text.contains("immediate=true") {
            return "RabbitMQ has no immediate delivery: publish as mandatory, with an expiration of zero"
        }
        if text.contains("active=false") { return "RabbitMQ's deliveries are limited by prefetch only" }
        if text.contains("global qos") { return "limit each consumer instead of the channel" }
        if text.contains("prefetch_size") { return "RabbitMQ limits messages, not octets" }
        if text.contains("automatic acknowledgement") { return "acknowledge: it is how a stream's consumer gets more" }
        if text.contains("basic.get") { return "read a stream with a consumer" }
        if method == "basic.recover" { return "RabbitMQ can only give deliveries back to their queues" }
        return nil
    }
}
