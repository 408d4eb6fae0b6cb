import Celeriac
import CeleriacCore
import Testing

@Suite("Drivers by URL")
struct DriverTests {
    @Test("Results by message need a broker that speaks AMQP")
    func rpcWithoutAMQP() async throws {
        let app = TaskApp("shop", configuration: Configuration(resultBackendURL: "rpc://"))
        let error = await #expect(throws: CeleriacError.self) { try await app.signature("t", arguments: []).apply() }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("memory://") == true)
    }

    @Test("Beside results by message there are no locks, schedules and limits, and they say so")
    func absentStores() async throws {
        var configuration = Configuration(brokerURL: "amqp://127.0.0.1:1", resultBackendURL: "rpc://")
        configuration.publishTimeout = .milliseconds(100)
        let drivers = try TaskApp("shop", configuration: configuration).drivers()
        #expect(drivers.results.abilities == [])
        let locked = await #expect(throws: CeleriacError.self) {
            _ = try await drivers.locks.acquire("k", owner: "o", lease: .seconds(1))
        }
        #expect(locked?.code == .unsupported)
        let leading = await #expect(throws: CeleriacError.self) {
            _ = try await drivers.schedule.lead("s", as: "o", lease: .seconds(1))
        }
        #expect(leading?.code == .unsupported)
        let limiting = await #expect(throws: CeleriacError.self) { try await drivers.limits.open(within: .seconds(1)) }
        #expect(limiting?.code == .unsupported)
    }

    @Test("Without results calls run and leave nothing, and asking for a result is an error at once")
    func disabled() async throws {
        let app = TaskApp("shop", configuration: Configuration(resultBackendURL: "disabled://"))
        let add = app.task("add") { (x: Int, y: Int) in x + y }
        let handle = try await add.delay(2, 3)
        let error = await #expect(throws: CeleriacError.self) { try await handle.value(within: .seconds(600)) }
        #expect(error?.code == .unsupported)
        let worker = Worker(app)
        async let running: Void = worker.run()
        while worker.statistics.succeeded < 1 { try await Task.sleep(for: .milliseconds(1)) }
        worker.shutDown()
        try await running
        await app.close()
    }

    @Test("An unknown scheme is refused with the known ones")
    func unknown() {
        let app = TaskApp("shop", configuration: Configuration(resultBackendURL: "ftp://host"))
        let error = #expect(throws: CeleriacError.self) { try app.drivers() }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("rpc://") == true)
    }
}
