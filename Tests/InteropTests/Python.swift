import Celeriac
import FleetSupport
import Foundation
import ProcessSupport
import TestSupport

@testable import CeleriacCore

/// The Python whose Celery is the other side, from `CELERIAC_PYTHON`; its scripts are in `Tests/Interop`.
enum Python {
    static let interpreter = variable("CELERIAC_PYTHON")

    private static let scripts = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Interop").path

    private static func interpreterPath() throws -> String {
        guard let interpreter else { throw NotInTime(description: "CELERIAC_PYTHON is not set") }
        return interpreter
    }

    private static let environment = [
        "PYTHONPATH": scripts, "PYTHONDONTWRITEBYTECODE": "1", "C_FORCE_ROOT": "1",
    ]

    /// Does what one action of a Python client does.
    static func client(
        _ action: String,
        _ arguments: JSONValue,
        _ fleet: Fleet,
        environment more: [String: String] = [:]
    ) async throws -> [String: JSONValue] {
        let json = String(decoding: JSONText.value(arguments), as: UTF8.self)
        let process = try fleet.start(
            "python-\(action)",
            try interpreterPath(),
            ["\(scripts)/client.py", action, json],
            environment.merging(more) { $1 }
        )
        guard try await process.wait(within: .seconds(60)) == .exit(0),
            let line = process.output.split(separator: "\n").last,
            let answer = try PayloadCoding.decode(JSONValue.self, from: Array(line.utf8)).object
        else { throw NotInTime(description: process.transcript) }
        return answer
    }

    /// Starts `celery worker` and waits until it consumes.
    static func worker(
        _ fleet: Fleet,
        pool: [String] = ["--pool", "solo"],
        environment more: [String: String] = [:]
    ) async throws -> ChildProcess {
        let arguments = [
            "-m", "celery", "--app", "proj", "worker", "--queues", fleet.queue.rawValue,
            "--hostname", "\(fleet.queue)@interop", "--loglevel", "warning",
        ]
        let worker = try fleet.start(
            "python-worker",
            try interpreterPath(),
            arguments + pool,
            environment.merging(more) { $1 }
        )
        try await eventually(within: .seconds(60), "the Python worker is ready") {
            if let end = worker.end { throw NotInTime(description: "the Python worker ended: \(end)") }
            return worker.errors.contains("python worker is ready")
        }
        return worker
    }
}
