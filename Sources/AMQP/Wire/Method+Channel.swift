extension Method {
    package struct ChannelFlow: Hashable, Sendable {
        package var isActive: Bool

        package init(isActive: Bool = false) {
            self.isActive = isActive
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            isActive = try cursor.uint8() & 1 != 0
        }

        func encode(into output: inout [UInt8]) {
            output.append(isActive ? 1 : 0)
        }
    }

    package struct ChannelFlowOk: Hashable, Sendable {
        package var isActive: Bool

        package init(isActive: Bool = false) {
            self.isActive = isActive
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            isActive = try cursor.uint8() & 1 != 0
        }

        func encode(into output: inout [UInt8]) {
            output.append(isActive ? 1 : 0)
        }
    }

    package struct ChannelClose: Hashable, Sendable {
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
}
