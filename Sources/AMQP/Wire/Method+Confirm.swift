extension Method {
    package struct ConfirmSelect: Hashable, Sendable {
        package var noWait: Bool

        package init(noWait: Bool = false) {
            self.noWait = noWait
        }

        init(from cursor: inout Cursor) throws(FrameError) {
            noWait = try cursor.uint8() & 1 != 0
        }

        func encode(into output: inout [UInt8]) {
            output.append(noWait ? 1 : 0)
        }
    }
}
