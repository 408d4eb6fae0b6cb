import Celeriac
import FleetSupport
import Foundation
import ProcessSupport
import Testing

@testable import CeleriacCore

extension FaultTests.Processes {
    /// A broker that cannot be used, and how that shows.
    struct Refusal: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let code: CeleriacError.Code
        let exitCode: Int32
        /// Makes a bad address of a good one.
        let change: @Sendable (inout URLComponents) -> Void
    }

    static let refusals = [
        Refusal(testDescription: "wrong password", code: .accessDenied, exitCode: 2) { $0.password = "wrong" },
        Refusal(testDescription: "no such virtual host", code: .notFound, exitCode: 2) { $0.path = "/nosuch" },
        Refusal(testDescription: "closed port", code: .unavailable, exitCode: 69) { $0.port = 1 },
    ]

    @Test("A broker that refuses is a typed error and an exit code", arguments: refusals)
    func refusal(_ refusal: Refusal) async throws {
        try await Fleet.withSharedServers { good in
            var address = try #require(URLComponents(string: good.app.configuration.brokerURL.secret))
            refusal.change(&address)
            let broker = ServerURL(try #require(address.string))
            // A port that nobody listens on is tried until the end of this; a busy broker's refusal may take its time.
            let limit = Duration.seconds(refusal.code == .unavailable ? 3 : 15)
            try await Fleet.with(
                broker: broker,
                results: good.app.configuration.resultBackendURL,
                publishTimeout: limit
            ) { fleet in
                let drivers = try fleet.app.drivers()
                let opening = await #expect(throws: CeleriacError.self) {
                    try await drivers.broker.open(within: limit)
                }
                #expect(opening?.code == refusal.code, "\(String(describing: opening))")
                let publishing = await #expect(throws: CeleriacError.self) {
                    try await fleet.work("never").apply()
                }
                #expect(publishing?.code == refusal.code, "\(String(describing: publishing))")
                #expect(publishing?.isIndeterminate == false, "nothing was sent")

                let commands = [["call", "fleet.add", "1", "2"], ["worker"]]
                _ = try await concurrently(commands, width: 2) { command in
                    let process = try await fleet.run(command)
                    #expect(process.end == .exit(refusal.exitCode), "\(process.transcript)")
                    #expect(!process.errors.contains("wrong@"), "the password does not show")
                }
            }
        }
    }

    @Test("A broker that hangs up is called again with pauses, until the deadline")
    func hangingUp() async throws {
        let listener = try HangingUpListener()
        try await Fleet.with(
            broker: ServerURL("amqp://guest:guest@127.0.0.1:\(listener.port)/%2F"),
            results: "memory://"
        ) { fleet in
            let drivers = try fleet.app.drivers()
            async let calls = listener.countCalls(for: .seconds(3))
            let error = await #expect(throws: CeleriacError.self) {
                try await drivers.broker.open(within: .seconds(2))
            }
            #expect(error?.code == .connectionLost || error?.code == .unavailable, "\(String(describing: error))")
            // Pauses grow from a fifth of a second at random; without pauses there would be thousands of calls.
            #expect((1...60).contains(try await calls))
        }
    }

    @Test("A call of 200 MB is refused before it is sent")
    func tooLarge() async throws {
        try await Fleet.withSharedServers { fleet in
            let text = String(repeating: "x", count: 200 << 20)
            let error = await #expect(throws: CeleriacError.self) {
                try await fleet.app.signature("fleet.echo", text, returning: String.self).apply()
            }
            #expect(error?.code == .tooLarge)
            let direct = await #expect(throws: CeleriacError.self) {
                try await fleet.app.drivers().broker.publish(
                    Message(body: [UInt8](repeating: 0, count: 200 << 20)),
                    to: Route(to: QueueDeclaration(fleet.queue)),
                    delay: nil,
                    within: .seconds(20)
                )
            }
            #expect(direct?.code == .tooLarge, "the driver has its own limit")

            _ = try await fleet.worker()
            #expect(try await fleet.work("after").apply().value(within: .seconds(20)) == "after")
        }
    }
}
