extension Method {
    package struct ConnectionStart: Hashable, Sendable {
        package var versionMajor: UInt8
        package var versionMinor: UInt8
        package var serverProperties: FieldTable
        package var mechanisms: String
        package var locales: String

        package init(
            versionMajor: UInt8,
            versionMinor: UInt8,
            serverProperties: FieldTable = [:],
            mechanisms: String,
            locales: String
        ) {
            self.versionMajor = versionMajor
            self.versionMinor = versionMinor
            self.serverProperties = serverProperties
            self.mechanisms = mechanisms
            self.locales = locales
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            versionMajor = try cursor.uint8()
            versionMinor = try cursor.uint8()
            serverProperties = try FieldTable(from: &cursor)
            mechanisms = try cursor.longString()
            locales = try cursor.longString()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.append(versionMajor)
            output.append(versionMinor)
            try serverProperties.encode(into: &output)
            output.appendLongText(mechanisms)
            output.appendLongText(locales)
        }
    }

    package struct ConnectionStartOk: Hashable, Sendable {
        package var clientProperties: FieldTable
        package var mechanism: String
        package var response: [UInt8]
        package var locale: String

        package init(clientProperties: FieldTable = [:], mechanism: String, response: [UInt8], locale: String) {
            self.clientProperties = clientProperties
            self.mechanism = mechanism
            self.response = response
            self.locale = locale
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            clientProperties = try FieldTable(from: &cursor)
            mechanism = try cursor.shortString()
            response = try Array(cursor.longOctets())
            locale = try cursor.shortString()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            try clientProperties.encode(into: &output)
            try output.appendShortString(mechanism)
            output.appendLongOctets(response)
            try output.appendShortString(locale)
        }
    }

    package struct ConnectionSecure: Hashable, Sendable {
        package var challenge: [UInt8]

        package init(challenge: [UInt8]) {
            self.challenge = challenge
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            challenge = try Array(cursor.longOctets())
        }

        func encode(into output: inout [UInt8]) {
            output.appendLongOctets(challenge)
        }
    }

    package struct ConnectionSecureOk: Hashable, Sendable {
        package var response: [UInt8]

        package init(response: [UInt8]) {
            self.response = response
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            response = try Array(cursor.longOctets())
        }

        func encode(into output: inout [UInt8]) {
            output.appendLongOctets(response)
        }
    }

    package struct ConnectionTune: Hashable, Sendable {
        package var channelMax: UInt16
        package var frameMax: UInt32
        package var heartbeat: UInt16

        package init(channelMax: UInt16, frameMax: UInt32, heartbeat: UInt16) {
            self.channelMax = channelMax
            self.frameMax = frameMax
            self.heartbeat = heartbeat
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            channelMax = try cursor.uint16()
            frameMax = try cursor.uint32()
            heartbeat = try cursor.uint16()
        }

        func encode(into output: inout [UInt8]) {
            output.appendInteger(channelMax)
            output.appendInteger(frameMax)
            output.appendInteger(heartbeat)
        }
    }

    package struct ConnectionTuneOk: Hashable, Sendable {
        package var channelMax: UInt16
        package var frameMax: UInt32
        package var heartbeat: UInt16

        package init(channelMax: UInt16, frameMax: UInt32, heartbeat: UInt16) {
            self.channelMax = channelMax
            self.frameMax = frameMax
            self.heartbeat = heartbeat
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            channelMax = try cursor.uint16()
            frameMax = try cursor.uint32()
            heartbeat = try cursor.uint16()
        }

        func encode(into output: inout [UInt8]) {
            output.appendInteger(channelMax)
            output.appendInteger(frameMax)
            output.appendInteger(heartbeat)
        }
    }

    package struct ConnectionOpen: Hashable, Sendable {
        package var virtualHost: String

        package init(virtualHost: String) {
            self.virtualHost = virtualHost
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            virtualHost = try cursor.shortString()
            _ = try cursor.shortOctets()
            _ = try cursor.uint8()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            try output.appendShortString(virtualHost)
            output.append(0)
            output.append(0)
        }
    }

    package struct ConnectionClose: Hashable, Sendable {
        package var replyCode: UInt16
        package var replyText: String
        package var classID: UInt16
        package var methodID: UInt16

        package init(replyCode: UInt16, replyText: String, classID: UInt16, methodID: UInt16) {
            self.replyCode = replyCode
            self.replyText = replyText
            self.classID = classID
            self.methodID = methodID
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            replyCode = try cursor.uint16()
            replyText = try cursor.shortString()
            classID = try cursor.uint16()
            methodID = try cursor.uint16()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendInteger(replyCode)
            try output.appendShortString(replyText)
            output.appendInteger(classID)
            output.appendInteger(methodID)
        }
    }

    package struct ConnectionBlocked: Hashable, Sendable {
        package var reason: String

        package init(reason: String) {
            self.reason = reason
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            reason = try cursor.shortString()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            try output.appendShortString(reason)
        }
    }

    package struct ConnectionUpdateSecret: Hashable, Sendable {
        package var secret: [UInt8]
        package var reason: String

        package init(secret: [UInt8], reason: String) {
            self.secret = secret
            self.reason = reason
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            secret = try Array(cursor.longOctets())
            reason = try cursor.shortString()
        }

        func encode(into output: inout [UInt8]) throws(FrameError) {
            output.appendLongOctets(secret)
            try output.appendShortString(reason)
        }
    }
}
