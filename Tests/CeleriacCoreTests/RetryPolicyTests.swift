import CeleriacCore
import Testing

@Suite("Retry policy") struct RetryPolicyTests {
    /// Gives the same numbers each time.
    private struct Seeded: RandomNumberGenerator {
        var state: UInt64 = 42
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state
        }
    }

    private func pauses(_ policy: RetryPolicy, _ count: Int) -> [Duration?] {
        var generator = Seeded()
        return (0..<count).map { policy.delay(afterRetries: $0, using: &generator) }
    }

    @Test("Pauses grow by the factor up to the maximum, until the attempts are used up")
    func growth() {
        let policy = RetryPolicy.exponential(attempts: 6, factor: 3, maximum: .seconds(30), jitter: false)
        #expect(
            pauses(policy, 7) == [.seconds(1), .seconds(3), .seconds(9), .seconds(27), .seconds(30), nil, nil]
        )
        #expect(pauses(.none, 1) == [nil])
        #expect(pauses(.fixed(attempts: 3, delay: .seconds(5)), 3) == [.seconds(5), .seconds(5), nil])
    }

    @Test("Jitter draws between zero and the full pause")
    func jitter() {
        let policy = RetryPolicy.exponential(attempts: .max, initial: .seconds(2), maximum: .seconds(16))
        var generator = Seeded()
        for retries in 0..<8 {
            let full = min(16, 2.0 * Double(1 << retries))
            let drawn = (0..<200).compactMap { _ in policy.delay(afterRetries: retries, using: &generator) }
            #expect(drawn.allSatisfy { $0 >= .zero && $0 <= .seconds(full) })
            #expect(drawn.contains { $0 < .seconds(full / 4) })
            #expect(drawn.contains { $0 > .seconds(full * 3 / 4) })
        }
    }

    @Test("Counts of any size end at once", arguments: [100_000, Int(Int32.max), .max - 1, .max])
    func largeCounts(_ retries: Int) {
        var generator = Seeded()
        for policy in [
            RetryPolicy.exponential(attempts: .max, jitter: false), .fixed(attempts: .max, delay: .seconds(1)),
            .exponential(attempts: .max, initial: .zero),
        ] {
            guard let pause = policy.delay(afterRetries: retries, using: &generator) else { continue }
            #expect(pause >= .zero && pause <= .seconds(600))
        }
    }
}

@Suite("Server URLs") struct ServerURLTests {
    @Test(
        "The description hides every password",
        arguments: [
            ("amqp://user:pass@host:5672/vhost", "amqp://user:***@host:5672/vhost"),
            ("amqp://user:p@ss@host/v", "amqp://user:***@host/v"),
            ("amqp://user:pa:ss@host", "amqp://user:***@host"),
            ("amqp://user:pa/ss@host/v", "amqp://user:***@host/v"),
            ("amqp://user:pa?ss@host/v?heartbeat=1", "amqp://user:***@host/v?heartbeat=1"),
            ("amqp://user:pa#ss@host", "amqp://user:***@host"),
            ("amqp://us%40er:p%2Fs@host", "amqp://us%40er:***@host"),
            ("redis://:pass@host:6379/0", "redis://:***@host:6379/0"),
            ("redis://user:@host", "redis://user:***@host"),
            ("amqp://user:pass@[::1]:5672/", "amqp://user:***@[::1]:5672/"),
            ("amqp://host:5672/vhost", "amqp://host:5672/vhost"), ("amqp://user@host", "amqp://user@host"),
            ("memory://", "memory://"), ("", ""), ("nonsense", "nonsense"), ("user:pass@host", "***"),
            ("://:pass@", "://:***@"),
        ]
    )
    func description(_ text: String, _ shown: String) {
        let url = ServerURL(text)
        #expect(url.description == shown)
        #expect("\(url)" == shown)
        #expect(String(reflecting: [url]).contains("pass@") == false)
        var dumped = ""
        dump(url, to: &dumped)
        #expect(!dumped.contains("pass@"))
        #expect(url.secret == text)
    }

    @Test("The scheme is read in lower case")
    func scheme() {
        #expect(ServerURL("AMQP://x").scheme == "amqp")
        #expect(ServerURL("nonsense").scheme == "")
    }
}

@Suite("Task ids") struct TaskIDTests {
    @Test("A new id is a version 4 UUID in lower case")
    func format() {
        var ids: Set<TaskID> = []
        for _ in 0..<500 {
            let id = TaskID.random()
            #expect(
                id.rawValue.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil
            )
            ids.insert(id)
        }
        #expect(ids.count == 500)
    }
}

@Suite("Python's text of JSON") struct PythonTextOfJSONTests {
    @Test(
        "Reads as the text of the decoded value",
        arguments: [
            [], [1], [1, 2], [nil, true, false], ["a", [1, [2, ["b": nil]]]], [["k": "v", "l": [1.5, -3]]],
            ["say \"hi\"", "a\\b", "\n\t\r", "grüße 🐘", "a/b", ""], [[]], [[:]],
        ] as [JSONValue]
    )
    func sameAsRepr(_ value: JSONValue) throws {
        let json = try PayloadCoding.encode(value, sortedKeys: true)
        #expect(PythonText.repr(ofJSON: json) == PythonText.repr(of: value))
        #expect(PythonText.repr(ofJSON: json, isTuple: true) == PythonText.tuple(value.array ?? []))
    }

    @Test("Is cut at the limit")
    func limit() throws {
        let json = try PayloadCoding.encode([JSONValue](repeating: "abcdef", count: 1000))
        let text = PythonText.repr(ofJSON: json, isTuple: true)
        #expect(text.hasPrefix("('abcdef', 'abcdef'"))
        #expect(text.hasSuffix("..."))
        #expect(text.utf8.count == 1027)
    }

    @Test("Broken JSON is no trap", arguments: ["", "[", "\"", "\"\\", "nul", "t", "]]]]", "{\"a", "[1,,"])
    func broken(_ text: String) {
        _ = PythonText.repr(ofJSON: Array(text.utf8), isTuple: true)
        _ = PythonText.repr(ofJSON: Array(text.utf8), limit: 1)
    }
}
