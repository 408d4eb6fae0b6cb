extension Method {
    package struct QueueDeclare: Hashable, Sendable {
        package var queue: String
        package var isPassive: Bool
        package var isDurable: Bool
        package var isExclusive: Bool
        package var isAutoDelete: Bool
        package var noWait: Bool
        package var arguments: FieldTable

        package init(
            queue: String,
            isPassive: Bool = false,
            isDurable: Bool = false,
            isExclusive: Bool = false,
            isAutoDelete: Bool = false,
            noWait: Bool = false,
            arguments: FieldTable = [:]
        ) {
            self.queue = queue
            self.isPassive = isPassive
            self.isDurable = isDurable
            self.isExclusive = isExclusive
            self.isAutoDelete = isAutoDelete
            self.noWait = noWait
            self.arguments = arguments
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            queue = try cursor.shortString()
            let bits = try cursor.uint8()
            isPassive = bits & 1 != 0
            isDurable = bits & 2 != 0
            isExclusive = bits & 4 != 0
            isAutoDelete = bits & 8 != 0
            noWait = bits & 16 != 0
            arguments = try FieldTable(from: &cursor)
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(queue)
            var bits: UInt8 = 0
            if isPassive { bits |= 1 }
            if isDurable { bits |= 2 }
            if isExclusive { bits |= 4 }
            if isAutoDelete { bits |= 8 }
            if noWait { bits |= 16 }
            output.append(bits)
            try arguments.encode(into: &output)
        }
    }

    package struct QueueDeclareOk: Hashable, Sendable {
        package var queue: String
        package var messageCount: UInt32
        package var consumerCount: UInt32

        package init(queue: String, messageCount: UInt32, consumerCount: UInt32) {
            self.queue = queue
            self.messageCount = messageCount
            self.consumerCount = consumerCount
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            queue = try cursor.shortString()
            messageCount = try cursor.uint32()
            consumerCount = try cursor.uint32()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            try output.appendShortString(queue)
            output.appendInteger(messageCount)
            output.appendInteger(consumerCount)
        }
    }

    package struct QueueBind: Hashable, Sendable {
        package var queue: String
        package var exchange: String
        package var routingKey: String
        package var noWait: Bool
        package var arguments: FieldTable

        package init(
            queue: String,
            exchange: String,
            routingKey: String,
            noWait: Bool = false,
            arguments: FieldTable = [:]
        ) {
            self.queue = queue
            self.exchange = exchange
            self.routingKey = routingKey
            self.noWait = noWait
            self.arguments = arguments
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            queue = try cursor.shortString()
            exchange = try cursor.shortString()
            routingKey = try cursor.shortString()
            noWait = try cursor.uint8() & 1 != 0
            arguments = try FieldTable(from: &cursor)
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(queue)
            try output.appendShortString(exchange)
            try output.appendShortString(routingKey)
            output.append(noWait ? 1 : 0)
            try arguments.encode(into: &output)
        }
    }

    package struct QueuePurge: Hashable, Sendable {
        package var queue: String
        package var noWait: Bool

        package init(queue: String, noWait: Bool = false) {
            self.queue = queue
            self.noWait = noWait
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            queue = try cursor.shortString()
            noWait = try cursor.uint8() & 1 != 0
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(queue)
            output.append(noWait ? 1 : 0)
        }
    }

    package struct QueuePurgeOk: Hashable, Sendable {
        package var messageCount: UInt32

        package init(messageCount: UInt32) {
            self.messageCount = messageCount
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            messageCount = try cursor.uint32()
        }

        func encode(into output: inout [UInt8]) {
            output.appendInteger(messageCount)
        }
    }

    package struct QueueDelete: Hashable, Sendable {
        package var queue: String
        package var ifUnused: Bool
        package var ifEmpty: Bool
        package var noWait: Bool

        package init(queue: String, ifUnused: Bool = false, ifEmpty: Bool = false, noWait: Bool = false) {
            self.queue = queue
            self.ifUnused = ifUnused
            self.ifEmpty = ifEmpty
            self.noWait = noWait
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            queue = try cursor.shortString()
            let bits = try cursor.uint8()
            ifUnused = bits & 1 != 0
            ifEmpty = bits & 2 != 0
            noWait = bits & 4 != 0
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(queue)
            var bits: UInt8 = 0
            if ifUnused { bits |= 1 }
            if ifEmpty { bits |= 2 }
            if noWait { bits |= 4 }
            output.append(bits)
        }
    }

    package struct QueueDeleteOk: Hashable, Sendable {
        package var messageCount: UInt32

        package init(messageCount: UInt32) {
            self.messageCount = messageCount
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            messageCount = try cursor.uint32()
        }

        func encode(into output: inout [UInt8]) {
            output.appendInteger(messageCount)
        }
    }

    package struct QueueUnbind: Hashable, Sendable {
        package var queue: String
        package var exchange: String
        package var routingKey: String
        package var arguments: FieldTable

        package init(queue: String, exchange: String, routingKey: String, arguments: FieldTable = [:]) {
            self.queue = queue
            self.exchange = exchange
            self.routingKey = routingKey
            self.arguments = arguments
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            queue = try cursor.shortString()
            exchange = try cursor.shortString()
            routingKey = try cursor.shortString()
            arguments = try FieldTable(from: &cursor)
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(queue)
            try output.appendShortString(exchange)
            try output.appendShortString(routingKey)
            try arguments.encode(into: &output)
        }
    }
}
