// Methods are printed in tests and errors; what logs somebody in is left out of them.

extension Method.ConnectionStartOk: CustomStringConvertible, CustomReflectable {
    package var description: String { "ConnectionStartOk(mechanism: \(mechanism), response: ***)" }
    package var customMirror: Mirror { Mirror(self, children: ["mechanism": mechanism]) }
}

extension Method.ConnectionSecureOk: CustomStringConvertible, CustomReflectable {
    package var description: String { "ConnectionSecureOk(response: ***)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension Method.ConnectionUpdateSecret: CustomStringConvertible, CustomReflectable {
    package var description: String { "ConnectionUpdateSecret(secret: ***, reason: \(reason))" }
    package var customMirror: Mirror { Mirror(self, children: ["reason": reason]) }
}
