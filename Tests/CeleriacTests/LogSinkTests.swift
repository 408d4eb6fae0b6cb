import CeleriacCore
import FoundationEssentials
import Testing

@testable import Celeriac

private struct FixedTime: TimeSource {
    var now: Date { Date(timeIntervalSince1970: 1_700_000_000.0625) }

    func sleep(for duration: Duration) async throws(CancellationError) {}
}

@Suite("Log sinks") struct LogSinkTests {
    private let recorder = Recorder()
    private var streams: StandardStreams { StandardStreams(output: Recorder(), error: recorder) }

    private func human(coloured: Bool = false) -> HumanLogSink {
        HumanLogSink(streams, isColoured: coloured, time: FixedTime())
    }

    @Test("Writes time, level, message and metadata for people")
    func humanLine() {
        human().log(
            level: .info,
            message: "task succeeded",
            metadata: [("task", "a.b"), ("why", "so it is")],
            label: "x"
        )
        #expect(recorder.text == "2023-11-14T22:13:20.062Z INFO     task succeeded task=a.b why=\"so it is\"\n")
    }

    @Test("Colours a line only when asked to")
    func colour() {
        human(coloured: true).log(level: .error, message: "m", metadata: [], label: "x")
        #expect(recorder.text.contains("\u{1B}[31mERROR   \u{1B}[0m m"))
    }

    @Test(
        "Wants colours on a terminal without NO_COLOR alone",
        arguments: [
            (true, [:], true), (true, ["NO_COLOR": ""], true), (true, ["NO_COLOR": "1"], false), (false, [:], false),
        ]
    )
    func wantsColour(_ isTerminal: Bool, _ variables: [String: String], _ wanted: Bool) {
        let streams = StandardStreams(output: recorder, error: recorder, isErrorTerminal: isTerminal)
        #expect(HumanLogSink.wantsColour(streams, variables) == wanted)
    }

    @Test("Escapes what could forge a line or drive a terminal")
    func control() {
        human().log(level: .info, message: "a\nb", metadata: [("k", "\u{1B}[2J\u{9B}\r\u{2028}x\"y")], label: "x")
        #expect(recorder.text.hasSuffix("a\\nb k=\"\\u{1b}[2J\\u{9b}\\r\\u{2028}x\\\"y\"\n"))
        #expect(recorder.lines.count == 1)
    }

    @Test("Writes one JSON object a line for programs")
    func jsonLine() throws {
        JSONLogSink(streams, time: FixedTime()).log(
            level: .warning,
            message: "a\n\"b\"",
            metadata: [("k", "1"), ("n", "x"), ("k", "2")],
            label: "celeriac.worker"
        )
        #expect(recorder.lines.count == 1)
        let line = try PayloadCoding.decode(JSONValue.self, from: Array(recorder.lines[0].utf8))
        #expect(
            line == [
                "time": "2023-11-14T22:13:20.062Z", "level": "warning", "label": "celeriac.worker",
                "message": "a\n\"b\"", "metadata": ["k": "2", "n": "x"],
            ]
        )
    }

    @Test(
        "Leaves passwords in URLs out",
        arguments: [
            ("amqp://user:canary@host:5672/vhost", "amqp://user:***@host:5672/vhost"),
            ("at redis://:canary@host/0, then", "at redis://:***@host/0, then"),
            ("amqp://user:can/ary@x@host/", "amqp://user:***@host/"),
            ("a amqp://u:canary@h b redis://v:canary@i c", "a amqp://u:***@h b redis://v:***@i c"),
            ("amqp://host:5672/vhost", "amqp://host:5672/vhost"),
            ("mail x@y about nothing", "mail x@y about nothing"),
        ]
    )
    func redaction(_ text: String, _ redacted: String) {
        #expect(Redaction.redacted(text) == redacted)
        human().log(level: .info, message: text, metadata: [("url", text)], label: "x")
        JSONLogSink(streams).log(level: .info, message: text, metadata: [("url", text)], label: "x")
        #expect(!recorder.text.contains("canary"))
    }
}
