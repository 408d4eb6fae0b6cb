internal import AMQP

func fuzzURI(_ bytes: [UInt8]) throws(Finding) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return }
    let uri: AMQPURI
    do throws(AMQPError) {
        uri = try AMQPURI(text)
    } catch {
        try expect(!error.message.isEmpty, "a refusal says why")
        return
    }
    try expect((1...65_535).contains(uri.port), "a port is a port")
    try expect(uri.heartbeat.map { $0 >= .zero && $0 <= .seconds(65_535) } ?? true, "a heartbeat fits the wire")
    var other = uri
    other.password = ""
    try expect(
        uri.description == other.description && uri.debugDescription == other.debugDescription,
        "what is printed does not depend on the password"
    )
}
