import Testing

@testable import CeleriacCore

@Suite("Keys of unique calls") struct UniqueKeyTests {
    private static func name(
        _ positional: String,
        _ keywords: String = "{}",
        by key: UniqueKey = .arguments,
        parameters: [String] = []
    ) throws -> String {
        let payload = Payload(positional: Array(positional.utf8), keywords: Array(keywords.utf8))
        return String(try key.name(of: "t", payload, parameters: parameters).dropFirst("celeriac-unique:t:".count))
    }

    @Test(
        "Equal values have equal keys, however they are written",
        arguments: [
            ([#"[1]"#, #"[ 1.0 ]"#, #"[1e0]"#, #"[10E-1]"#], "[1]{}"),
            ([#"[-0]"#, #"[0]"#, #"[0.0]"#, #"[-0.0]"#], "[0]{}"),
            (
                [#"[{"a":1,"b":[true,null]}]"#, #"[{ "b" : [ true , null ] , "a" : 1 }]"#],
                #"[{"a":1,"b":[true,null]}]{}"#
            ),
            ([#"["é\n\/"]"#, #"["\u00e9\u000a/"]"#], "[\"é\\n/\"]{}"),
            ([#"["😀"]"#, #"["\ud83d\ude00"]"#], "[\"😀\"]{}"),
            ([#"[2.5]"#, #"[25e-1]"#], "[2.5]{}"),
        ]
    )
    func equal(_ texts: [String], _ name: String) throws {
        for text in texts { #expect(try Self.name(text) == name) }
    }

    @Test("Different values have different keys")
    func different() throws {
        let texts = [
            "[1]", "[\"1\"]", "[true]", "[\"true\"]", "[null]", "[]", "[[1]]", "[{}]", "[1,1]", "[1.5]", "[\"\"]",
            "[9223372036854775808]", "[9223372036854775809]", "[18446744073709551615]", #"[{"a":null}]"#,
        ]
        #expect(Set(try texts.map { try Self.name($0) }).count == texts.count)
        #expect(try Self.name("[1]") != Self.name("[]", #"{"x":1}"#))
    }

    @Test("Programs that know the parameters' names and programs that do not come to the same key")
    func named() throws {
        #expect(try Self.name("[1,2]", parameters: ["x", "y"]) == Self.name("[1,2]"))
        #expect(try Self.name("[1]", #"{"y":2}"#, parameters: ["x", "y"]) == #"[1]{"y":2}"#)
    }

    @Test("Only chosen arguments count; none chosen means all calls of the task")
    func fields() throws {
        let key = UniqueKey.fields("y", "z")
        let parameters = ["x", "y", "z"]
        let name = try Self.name("[1,2]", by: key, parameters: parameters)
        #expect(name == #"{"y":2,"z":null}"#)
        #expect(try Self.name("[7]", #"{"y":2,"z":null}"#, by: key, parameters: parameters) == name)
        #expect(try Self.name("[]", #"{"y":2,"x":9}"#, by: key) == name, "a struct task leaves out what is nil")
        #expect(try Self.name("[1]", by: .task) == "*")
        #expect(try Self.name("[2]", #"{"a":1}"#, by: .fields()) == "*")
    }

    @Test("A chosen argument that the call cannot have is refused")
    func unknownField() {
        for (positional, keywords, parameters) in [
            ("[1]", "{}", []), ("[1]", "{}", ["x"]), ("[]", #"{"x":1}"#, []), ("[1]", #"{"x":1}"#, []),
        ] {
            let error = #expect(throws: CeleriacError.self) {
                try Self.name(positional, keywords, by: .fields("y"), parameters: parameters)
            }
            #expect(error?.code == .configuration)
        }
    }

    @Test("A closure makes its key of the call's values")
    func custom() throws {
        struct NoKey: Error {}
        let key = UniqueKey.custom { call in
            guard case .string(let site)? = call["site"] else { throw NoKey() }
            return "\(call.task)/\(site)/\(call.arguments.count)"
        }
        #expect(try Self.name(#"["a", 1]"#, by: key, parameters: ["site"]) == "=t/a/1")
        let error = #expect(throws: CeleriacError.self) { try Self.name("[]", by: key) }
        #expect(error?.code == .invalidPayload)
        #expect(error?.underlying is NoKey)
    }

    @Test("A long key is replaced by its digest")
    func long() throws {
        let text = String(repeating: "x", count: 200)
        let name = try Self.name("[\"\(text)\"]")
        #expect(name.hasPrefix("sha256:") && name.count == 71)
        #expect(try Self.name("[\"\(text)y\"]") != name)
        #expect(try Self.name("[ \"\(text)\" ]") == name)
    }

    @Test(
        "What is not JSON makes no key",
        arguments: ["", "[", "[1", "[1,]", "{]", #"["\x"]"#, #"["\ud800"]"#, "[a]", "[1]2"]
    )
    func malformed(_ text: String) {
        #expect(throws: CeleriacError.self) { try Self.name(text) }
    }

    @Test("Nesting is limited before the stack is")
    func nesting() {
        let text = String(repeating: "[", count: 100_000)
        #expect(throws: CeleriacError.self) { try JSONTree(Array(text.utf8)) }
    }

    @Test(
        "The digest is that of FIPS 180-4",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                String(repeating: "a", count: 1_000_000),
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
            ),
        ]
    )
    func digest(_ text: String, _ digest: String) {
        #expect(SHA256.hexDigest(of: Array(text.utf8)) == digest)
    }

    /// Names made by `celery_once.helpers.queue_once_key` 3.0.1 from the decoded JSON.
    @Test(
        "celery-once's names are Python's",
        arguments: [
            (#"[1, "a"]"#, "{}", ["x", "y"], nil, "qo_t_x-1_y-a"),
            ("[]", #"{"b": 2.0, "a": 1e16}"#, [], nil, "qo_t_a-1e+16_b-2.0"),
            ("[true, false, null]", "{}", ["a", "b", "c"], nil, "qo_t_a-True_b-False_c-None"),
            (#"[[1, "it's", [2.5]]]"#, "{}", ["l"], nil, #"qo_t_l-[1, "it's", [2.5]]"#),
            (#"[{"b": 1, "a": {"c": "x"}}]"#, "{}", ["d"], nil, #"qo_t_d-{'a': "{'c': 'x'}", 'b': 1}"#),
            (#"[{}, []]"#, "{}", ["d", "l"], nil, "qo_t_d-{}_l-[]"),
            ("[1, 2]", #"{"z": 3}"#, ["x", "y"], ["y"], "qo_t_y-2"),
            ("[1, 2]", "{}", ["x", "y"], [], "qo_t"),
        ] as [(String, String, [String], [String]?, String)]
    )
    func celeryOnce(
        _ positional: String,
        _ keywords: String,
        _ parameters: [String],
        _ keys: [String]?,
        _ name: String
    ) throws {
        let payload = Payload(positional: Array(positional.utf8), keywords: Array(keywords.utf8))
        let call = try BoundArguments(payload, parameters: parameters)
        #expect(try CeleryOnceKey.name(of: "t", call, keys: keys) == name)
    }

    @Test("celery-once's rules need names, and arguments that are there")
    func celeryOnceRefusals() throws {
        let call = try BoundArguments(Payload(positional: Array("[1]".utf8)), parameters: [])
        #expect(throws: CeleriacError.self) { try CeleryOnceKey.name(of: "t", call, keys: nil) }
        let named = try BoundArguments(Payload(positional: Array("[1]".utf8)), parameters: ["x"])
        #expect(throws: CeleriacError.self) { try CeleryOnceKey.name(of: "t", named, keys: ["y"]) }
    }
}
