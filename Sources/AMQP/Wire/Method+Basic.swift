extension Method {
    package struct BasicQos: Hashable, Sendable {
        package var prefetchSize: UInt32
        package var prefetchCount: UInt16
        package var isGlobal: Bool

        package init(prefetchSize: UInt32, prefetchCount: UInt16, isGlobal: Bool = false) {
            self.prefetchSize = prefetchSize
            self.prefetchCount = prefetchCount
            self.isGlobal = isGlobal
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            prefetchSize = try cursor.uint32()
            prefetchCount = try cursor.uint16()
            isGlobal = try cursor.uint8() & 1 != 0
        }

        func encode(into output: inout [UInt8]) {
            output.appendInteger(prefetchSize)
            output.appendInteger(prefetchCount)
            output.append(isGlobal ? 1 : 0)
        }
    }

    package struct BasicConsume: Hashable, Sendable {
        package var queue: String
        package var consumerTag: String
        package var noLocal: Bool
        package var noAck: Bool
        package var isExclusive: Bool
        package var noWait: Bool
        package var arguments: FieldTable

        package init(
            queue: String,
            consumerTag: String,
            noLocal: Bool = false,
            noAck: Bool = false,
            isExclusive: Bool = false,
            noWait: Bool = false,
            arguments: FieldTable = [:]
        ) {
            self.queue = queue
            self.consumerTag = consumerTag
            self.noLocal = noLocal
            self.noAck = noAck
            self.isExclusive = isExclusive
            self.noWait = noWait
            self.arguments = arguments
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            queue = try cursor.shortString()
            consumerTag = try cursor.shortString()
            let bits = try cursor.uint8()
            noLocal = bits & 1 != 0
            noAck = bits & 2 != 0
            isExclusive = bits & 4 != 0
            noWait = bits & 8 != 0
            arguments = try FieldTable(from: &cursor)
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(queue)
            try output.appendShortString(consumerTag)
            var bits: UInt8 = 0
            if noLocal { bits |= 1 }
            if noAck { bits |= 2 }
            if isExclusive { bits |= 4 }
            if noWait { bits |= 8 }
            output.append(bits)
            try arguments.encode(into: &output)
        }
    }

    package struct BasicConsumeOk: Hashable, Sendable {
        package var consumerTag: String

        package init(consumerTag: String) {
            self.consumerTag = consumerTag
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            consumerTag = try cursor.shortString()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            try output.appendShortString(consumerTag)
        }
    }

    package struct BasicCancel: Hashable, Sendable {
        package var consumerTag: String
        package var noWait: Bool

        package init(consumerTag: String, noWait: Bool = false) {
            self.consumerTag = consumerTag
            self.noWait = noWait
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            consumerTag = try cursor.shortString()
            noWait = try cursor.uint8() & 1 != 0
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            try output.appendShortString(consumerTag)
            output.append(noWait ? 1 : 0)
        }
    }

    package struct BasicCancelOk: Hashable, Sendable {
        package var consumerTag: String

        package init(consumerTag: String) {
            self.consumerTag = consumerTag
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            consumerTag = try cursor.shortString()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            try output.appendShortString(consumerTag)
        }
    }

    package struct BasicPublish: Hashable, Sendable {
        package var exchange: String
        package var routingKey: String
        package var isMandatory: Bool
        package var isImmediate: Bool

        package init(exchange: String, routingKey: String, isMandatory: Bool = false, isImmediate: Bool = false) {
            self.exchange = exchange
            self.routingKey = routingKey
            self.isMandatory = isMandatory
            self.isImmediate = isImmediate
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            exchange = try cursor.shortString()
            routingKey = try cursor.shortString()
            let bits = try cursor.uint8()
            isMandatory = bits & 1 != 0
            isImmediate = bits & 2 != 0
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(exchange)
            try output.appendShortString(routingKey)
            output.append((isMandatory ? 1 : 0) | (isImmediate ? 2 : 0))
        }
    }

    package struct BasicReturn: Hashable, Sendable {
        package var replyCode: UInt16
        package var replyText: String
        package var exchange: String
        package var routingKey: String

        package init(replyCode: UInt16, replyText: String, exchange: String, routingKey: String) {
            self.replyCode = replyCode
            self.replyText = replyText
            self.exchange = exchange
            self.routingKey = routingKey
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            replyCode = try cursor.uint16()
            replyText = try cursor.shortString()
            exchange = try cursor.shortString()
            routingKey = try cursor.shortString()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(replyCode)
            try output.appendShortString(replyText)
            try output.appendShortString(exchange)
            try output.appendShortString(routingKey)
        }
    }

    package struct BasicDeliver: Hashable, Sendable {
        package var consumerTag: String
        package var deliveryTag: UInt64
        package var isRedelivered: Bool
        package var exchange: String
        package var routingKey: String

        package init(
            consumerTag: String,
            deliveryTag: UInt64,
            isRedelivered: Bool = false,
            exchange: String,
            routingKey: String
        ) {
            self.consumerTag = consumerTag
            self.deliveryTag = deliveryTag
            self.isRedelivered = isRedelivered
            self.exchange = exchange
            self.routingKey = routingKey
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            consumerTag = try cursor.shortString()
            deliveryTag = try cursor.uint64()
            isRedelivered = try cursor.uint8() & 1 != 0
            exchange = try cursor.shortString()
            routingKey = try cursor.shortString()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            try output.appendShortString(consumerTag)
            output.appendInteger(deliveryTag)
            output.append(isRedelivered ? 1 : 0)
            try output.appendShortString(exchange)
            try output.appendShortString(routingKey)
        }
    }

    package struct BasicGet: Hashable, Sendable {
        package var queue: String
        package var noAck: Bool

        package init(queue: String, noAck: Bool = false) {
            self.queue = queue
            self.noAck = noAck
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            queue = try cursor.shortString()
            noAck = try cursor.uint8() & 1 != 0
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(queue)
            output.append(noAck ? 1 : 0)
        }
    }

    package struct BasicGetOk: Hashable, Sendable {
        package var deliveryTag: UInt64
        package var isRedelivered: Bool
        package var exchange: String
        package var routingKey: String
        package var messageCount: UInt32

        package init(
            deliveryTag: UInt64,
            isRedelivered: Bool = false,
            exchange: String,
            routingKey: String,
            messageCount: UInt32
        ) {
            self.deliveryTag = deliveryTag
            self.isRedelivered = isRedelivered
            self.exchange = exchange
            self.routingKey = routingKey
            self.messageCount = messageCount
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            deliveryTag = try cursor.uint64()
            isRedelivered = try cursor.uint8() & 1 != 0
            exchange = try cursor.shortString()
            routingKey = try cursor.shortString()
            messageCount = try cursor.uint32()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(deliveryTag)
            output.append(isRedelivered ? 1 : 0)
            try output.appendShortString(exchange)
            try output.appendShortString(routingKey)
            output.appendInteger(messageCount)
        }
    }

    package struct BasicAck: Hashable, Sendable {
        package var deliveryTag: UInt64
        package var multiple: Bool

        package init(deliveryTag: UInt64, multiple: Bool = false) {
            self.deliveryTag = deliveryTag
            self.multiple = multiple
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            deliveryTag = try cursor.uint64()
            multiple = try cursor.uint8() & 1 != 0
        }

        func encode(into output: inout [UInt8]) {
            output.appendInteger(deliveryTag)
            output.append(multiple ? 1 : 0)
        }
    }

    package struct BasicReject: Hashable, Sendable {
        package var deliveryTag: UInt64
        package var requeue: Bool

        package init(deliveryTag: UInt64, requeue: Bool = false) {
            self.deliveryTag = deliveryTag
            self.requeue = requeue
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            deliveryTag = try cursor.uint64()
            requeue = try cursor.uint8() & 1 != 0
        }

        func encode(into output: inout [UInt8]) {
            output.appendInteger(deliveryTag)
            output.append(requeue ? 1 : 0)
        }
    }

    package struct BasicRecover: Hashable, Sendable {
        package var requeue: Bool

        package init(requeue: Bool = false) {
            self.requeue = requeue
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            requeue = try cursor.uint8() & 1 != 0
        }

        func encode(into output: inout [UInt8]) {
            output.append(requeue ? 1 : 0)
        }
    }

    package struct BasicNack: Hashable, Sendable {
        package var deliveryTag: UInt64
        package var multiple: Bool
        package var requeue: Bool

        package init(deliveryTag: UInt64, multiple: Bool = false, requeue: Bool = false) {
            self.deliveryTag = deliveryTag
            self.multiple = multiple
            self.requeue = requeue
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            deliveryTag = try cursor.uint64()
            let bits = try cursor.uint8()
            multiple = bits & 1 != 0
            requeue = bits & 2 != 0
        }

        func encode(into output: inout [UInt8]) {
            output.appendInteger(deliveryTag)
            output.append((multiple ? 1 : 0) | (requeue ? 2 : 0))
        }
    }
}
