import Celeriac

// What happens in a day, scene by scene.
extension Bakery {
    static func bakeManyAtOnce(_ show: Show) async throws {
        let loaves = 1...1000
        try await show.scene("1000 loaves, each a task of one or two seconds")
        let sum = try await show.progress(of: bake.name, total: loaves.count, gauge: ("in the oven", oven)) {
            try await sumOfAll(bake, loaves)
        }
        show.expect("1000 values came back, and at most \(oven.most) loaves were in the oven at once") {
            sum == loaves.reduce(0, +) && oven.most >= 200
        }
    }

    static func retryWithBackoff(_ show: Show) async throws {
        try await show.scene("A task that fails is run again, after pauses that grow")
        let flour = try await orderFlour.delay(12).value(within: .seconds(30))
        show.expect(flour) { show.tally.retried == 2 }
    }

    static func refuseDuplicate(_ show: Show) async throws {
        try await show.scene("A unique task is not queued twice")
        let call = sweep("kitchen")
        let first = try await call.apply()
        do {
            try await call.apply()
        } catch {
            show.refused(error)
        }
        let room = try await first.value(within: .seconds(30))
        show.expect("\(room), swept once") { show.tally.refused == 1 }
    }

    static func reportFailure(_ show: Show) async throws {
        try await show.scene("A failure arrives as what it is")
        do {
            _ = try await charge.delay(1250).value(within: .seconds(30))
        } catch let failure as TaskFailure where failure.type == "CardDeclined" {
            show.expect("caught \(failure)") { show.tally.failed == 1 }
        }
    }

    static func runStructTask(_ show: Show) async throws {
        try await show.scene("A task may be a type of its own")
        let news = try await deliver.delay(Delivery(rolls: 6, street: "Mill Lane")).value(within: .seconds(30))
        show.expect(news) { news.hasPrefix("6 rolls") }
    }

    static func hurry(_ show: Show) async throws {
        let crumbs = 1...20_000
        try await show.scene("20000 tasks that do nothing, as fast as they go")
        let sum = try await show.progress(of: count.name, total: crumbs.count) {
            try await sumOfAll(count, crumbs)
        }
        show.expect("called, run and answered at \(show.tally.rate) tasks a second") { sum == crumbs.reduce(0, +) }
    }

    /// Calls a task for each number, then waits for all the values.
    static func sumOfAll(_ task: TaskDefinition<Int, Int>, _ numbers: ClosedRange<Int>) async throws -> Int {
        var handles: [TaskHandle<Int>] = []
        for number in numbers { handles.append(try await task.delay(number)) }
        var sum = 0
        for handle in handles { sum += try await handle.value(within: .seconds(60)) }
        return sum
    }
}
