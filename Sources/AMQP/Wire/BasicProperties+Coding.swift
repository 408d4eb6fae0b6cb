extension BasicProperties {
    /// The place of a property in the flags, and so in the list.
    ///
    /// §4.2.6.1: the highest bit belongs to the first property; bit 0 announces another word of flags.
    enum Flag: UInt16 {
        case contentType = 15
        case contentEncoding = 14
        case headers = 13
        case deliveryMode = 12
        case priority = 11
        case correlationID = 10
        case replyTo = 9
        case expiration = 8
        case messageID = 7
        case timestamp = 6
        case type = 5
        case userID = 4
        case appID = 3
        case clusterID = 2

        var mask: UInt16 { 1 << rawValue }

        /// Bits that belong to no property.
        ///
        /// A broker hands them on as they were published, so they must not cost the consumer its connection; values
        /// behind them would, as octets left over.
        static let unused: UInt16 = 3

        private func skip(_ cursor: inout Cursor) throws(FrameError) {
            switch self {
            case .headers: _ = try cursor.longOctets()
            case .deliveryMode, .priority: try cursor.skip(1)
            case .timestamp: try cursor.skip(8)
            case .contentType, .contentEncoding, .correlationID, .replyTo, .expiration, .messageID, .type, .userID,
                .appID, .clusterID:
                _ = try cursor.shortOctets()
            }
        }

        /// Checks flags and list from the wire, allocating nothing; headers are checked where they are looked at.
        static func validate(_ octets: UnsafeRawBufferPointer) throws(FrameError) {
            var cursor = Cursor(octets)
            var flags = try cursor.uint16() & ~unused
            while let flag = first(of: &flags) { try flag.skip(&cursor) }
            try cursor.end()
        }

        /// Takes the highest flag.
        private static func first(of flags: inout UInt16) -> Flag? {
            guard flags != 0 else { return nil }
            let bit = UInt16(15 - flags.leadingZeroBitCount)
            flags &= ~(1 << bit)
            return Flag(rawValue: bit)
        }

        /// Decodes this property alone from validated flags and list.
        func find<Value>(in octets: [UInt8], _ decode: (inout Cursor) throws(FrameError) -> Value) -> Value? {
            octets.withUnsafeBytes { octets in
                var cursor = Cursor(octets)
                // The octets were validated on arrival, so nothing is left to throw.
                guard let flags = try? cursor.uint16(), flags & mask != 0 else { return nil }
                var before = flags & ~(mask | (mask - 1))
                while let flag = Self.first(of: &before) {
                    guard (try? flag.skip(&cursor)) != nil else { return nil }
                }
                return try? decode(&cursor)
            }
        }
    }
}

extension BasicProperties.Fields {
    /// Decodes flags and list that have been validated.
    init(validated octets: [UInt8]) {
        octets.withUnsafeBytes { octets in
            var cursor = Cursor(octets)
            try? decode(&cursor)
        }
    }

    private mutating func decode(_ cursor: inout Cursor) throws(FrameError) {
        let flags = try cursor.uint16()
        func has(_ flag: BasicProperties.Flag) -> Bool { flags & flag.mask != 0 }
        if has(.contentType) { contentType = try cursor.shortString() }
        if has(.contentEncoding) { contentEncoding = try cursor.shortString() }
        if has(.headers) { headers = try FieldTable(publishedIn: &cursor) }
        if has(.deliveryMode) { deliveryMode = try cursor.uint8() }
        if has(.priority) { priority = try cursor.uint8() }
        if has(.correlationID) { correlationID = try cursor.shortString() }
        if has(.replyTo) { replyTo = try cursor.shortString() }
        if has(.expiration) { expiration = try cursor.shortString() }
        if has(.messageID) { messageID = try cursor.shortString() }
        if has(.timestamp) { timestamp = try cursor.uint64() }
        if has(.type) { type = try cursor.shortString() }
        if has(.userID) { userID = try cursor.shortString() }
        if has(.appID) { appID = try cursor.shortString() }
        if has(.clusterID) { clusterID = try cursor.shortString() }
    }

    func encode(into output: inout [UInt8]) throws(FrameError) {
        let flagsOffset = output.count
        var flags: UInt16 = 0
        output.appendInteger(flags)
        func text(_ value: String?, _ flag: BasicProperties.Flag) throws(FrameError) {
            guard let value else { return }
            flags |= flag.mask
            try output.appendShortString(value)
        }
        func number(_ value: (some FixedWidthInteger)?, _ flag: BasicProperties.Flag) {
            guard let value else { return }
            flags |= flag.mask
            output.appendInteger(value)
        }
        try text(contentType, .contentType)
        try text(contentEncoding, .contentEncoding)
        if let headers {
            flags |= BasicProperties.Flag.headers.mask
            try headers.encode(into: &output)
        }
        number(deliveryMode, .deliveryMode)
        number(priority, .priority)
        try text(correlationID, .correlationID)
        try text(replyTo, .replyTo)
        try text(expiration, .expiration)
        try text(messageID, .messageID)
        number(timestamp, .timestamp)
        try text(type, .type)
        try text(userID, .userID)
        try text(appID, .appID)
        try text(clusterID, .clusterID)
        output[flagsOffset] = UInt8(truncatingIfNeeded: flags >> 8)
        output[flagsOffset + 1] = UInt8(truncatingIfNeeded: flags)
    }
}
