/// Follows the frames of one direction of an AMQP conversation without keeping their octets.
///
/// Of its own, and not the library's decoder: a proxy must not share the mistakes of what it tests. What is not AMQP
/// is let pass unseen.
struct FrameScanner {
    struct Head: Hashable {
        /// `nil` for frames that carry no method.
        let method: AMQPMethodID?
        let octets: Int
    }

    enum Next {
        /// The head of the next frame is not complete.
        case incomplete
        case frame(Head)
        /// Octets of no frame: the protocol header, or another protocol altogether.
        case plain(octets: Int)
    }

    private enum State {
        case atStart
        case betweenFrames
        case within(remaining: Int)
        case unknown
    }

    private var state = State.atStart
    private let direction: Direction

    init(_ direction: Direction) { self.direction = direction }

    /// What comes next at the front of the input; asked once for each frame, before any of it is consumed.
    mutating func next(in input: ArraySlice<UInt8>) -> Next {
        switch state {
        case .within(let remaining): return .plain(octets: min(remaining, input.count))
        case .unknown: return .plain(octets: input.count)
        case .atStart where direction == .toServer:
            guard input.count >= 8 else {
                return input.starts(with: Array("AMQP".utf8).prefix(input.count)) ? .incomplete : giveUp(input)
            }
            guard input.starts(with: Array("AMQP".utf8)) else { return giveUp(input) }
            state = .within(remaining: 8)
            return .plain(octets: 8)
        case .atStart, .betweenFrames: return head(of: input)
        }
    }

    private mutating func head(of input: ArraySlice<UInt8>) -> Next {
        let start = input.startIndex
        guard let type = input.first else { return .incomplete }
        guard (1...8).contains(type) else { return giveUp(input) }
        guard input.count >= 7 else { return .incomplete }
        let size = input[(start + 3)..<(start + 7)].reduce(0) { $0 << 8 | Int($1) }
        guard size <= 256 << 20 else { return giveUp(input) }
        var method: AMQPMethodID?
        if type == 1, size >= 4 {
            guard input.count >= 11 else { return .incomplete }
            method = AMQPMethodID(
                UInt16(input[start + 7]) << 8 | UInt16(input[start + 8]),
                UInt16(input[start + 9]) << 8 | UInt16(input[start + 10])
            )
        }
        state = .within(remaining: size + 8)
        return .frame(Head(method: method, octets: size + 8))
    }

    private mutating func giveUp(_ input: ArraySlice<UInt8>) -> Next {
        state = .unknown
        return .plain(octets: input.count)
    }

    /// Whether the next octet begins a frame.
    var isBetweenFrames: Bool {
        switch state {
        case .atStart, .betweenFrames: true
        case .within, .unknown: false
        }
    }

    /// How many of so many octets belong to the frame that has begun.
    func available(_ count: Int) -> Int {
        if case .within(let remaining) = state { min(remaining, count) } else { count }
    }

    /// Moves on within a frame; true at its end.
    mutating func consume(_ count: Int) -> Bool {
        guard case .within(let remaining) = state else { return false }
        state = remaining > count ? .within(remaining: remaining - count) : .betweenFrames
        return remaining <= count
    }
}
