extension Method {
    package struct ExchangeDeclare: Hashable, Sendable {
        package var exchange: String
        package var type: String
        package var isPassive: Bool
        package var isDurable: Bool
        package var isAutoDelete: Bool
        package var isInternal: Bool
        package var noWait: Bool
        package var arguments: FieldTable

        package init(
            exchange: String,
            type: String,
            isPassive: Bool = false,
            isDurable: Bool = false,
            isAutoDelete: Bool = false,
            isInternal: Bool = false,
            noWait: Bool = false,
            arguments: FieldTable = [:]
        ) {
            self.exchange = exchange
            self.type = type
            self.isPassive = isPassive
            self.isDurable = isDurable
            self.isAutoDelete = isAutoDelete
            self.isInternal = isInternal
            self.noWait = noWait
            self.arguments = arguments
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            exchange = try cursor.shortString()
            type = try cursor.shortString()
            let bits = try cursor.uint8()
            isPassive = bits & 1 != 0
            isDurable = bits & 2 != 0
            isAutoDelete = bits & 4 != 0
            isInternal = bits & 8 != 0
            noWait = bits & 16 != 0
            arguments = try FieldTable(from: &cursor)
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(exchange)
            try output.appendShortString(type)
            var bits: UInt8 = 0
            if isPassive { bits |= 1 }
            if isDurable { bits |= 2 }
            if isAutoDelete { bits |= 4 }
            if isInternal { bits |= 8 }
            if noWait { bits |= 16 }
            output.append(bits)
            try arguments.encode(into: &output)
        }
    }

    package struct ExchangeDelete: Hashable, Sendable {
        package var exchange: String
        package var ifUnused: Bool
        package var noWait: Bool

        package init(exchange: String, ifUnused: Bool = false, noWait: Bool = false) {
            self.exchange = exchange
            self.ifUnused = ifUnused
            self.noWait = noWait
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            exchange = try cursor.shortString()
            let bits = try cursor.uint8()
            ifUnused = bits & 1 != 0
            noWait = bits & 2 != 0
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(exchange)
            output.append((ifUnused ? 1 : 0) | (noWait ? 2 : 0))
        }
    }

    package struct ExchangeBind: Hashable, Sendable {
        package var destination: String
        package var source: String
        package var routingKey: String
        package var noWait: Bool
        package var arguments: FieldTable

        package init(
            destination: String,
            source: String,
            routingKey: String,
            noWait: Bool = false,
            arguments: FieldTable = [:]
        ) {
            self.destination = destination
            self.source = source
            self.routingKey = routingKey
            self.noWait = noWait
            self.arguments = arguments
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            destination = try cursor.shortString()
            source = try cursor.shortString()
            routingKey = try cursor.shortString()
            noWait = try cursor.uint8() & 1 != 0
            arguments = try FieldTable(from: &cursor)
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(destination)
            try output.appendShortString(source)
            try output.appendShortString(routingKey)
            output.append(noWait ? 1 : 0)
            try arguments.encode(into: &output)
        }
    }

    package struct ExchangeUnbind: Hashable, Sendable {
        package var destination: String
        package var source: String
        package var routingKey: String
        package var noWait: Bool
        package var arguments: FieldTable

        package init(
            destination: String,
            source: String,
            routingKey: String,
            noWait: Bool = false,
            arguments: FieldTable = [:]
        ) {
            self.destination = destination
            self.source = source
            self.routingKey = routingKey
            self.noWait = noWait
            self.arguments = arguments
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            _ = try cursor.uint16()
            destination = try cursor.shortString()
            source = try cursor.shortString()
            routingKey = try cursor.shortString()
            noWait = try cursor.uint8() & 1 != 0
            arguments = try FieldTable(from: &cursor)
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(UInt16(0))
            try output.appendShortString(destination)
            try output.appendShortString(source)
            try output.appendShortString(routingKey)
            output.append(noWait ? 1 : 0)
            try arguments.encode(into: &output)
        }
    }
}
