/// A value that holds for one connection: for another one it begins anew.
///
/// It holds the connection itself. Were only its address kept, a later connection that happens to lie there would inherit
/// what had been found out over an earlier one.
struct PerConnection<Connection: AnyObject, Value> {
    /// The value of the connection that was seen last.
    var value: Value
    private let initial: Value
    private var connection: Connection?

    init(_ initial: Value) {
        self.initial = initial
        value = initial
    }

    /// Looks at the value for a connection, or changes it.
    ///
    /// - Parameter isOver: Whether the connection is another's predecessor at most. What comes in late from it is not
    ///   kept, so that it does not displace what is known of its successor.
    mutating func with<Result>(
        _ connection: Connection,
        isOver: (Connection) -> Bool,
        _ body: (inout Value) -> Result
    ) -> Result {
        if self.connection !== connection {
            guard !isOver(connection) else {
                var unkept = initial
                return body(&unkept)
            }
            self.connection = connection
            value = initial
        }
        return body(&value)
    }
}

extension PerConnection: Sendable where Connection: Sendable, Value: Sendable {}
