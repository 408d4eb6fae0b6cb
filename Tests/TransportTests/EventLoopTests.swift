import Synchronization
import Testing

@testable import Transport

@Suite("Event loop", .timeLimit(.minutes(1))) struct EventLoopTests {
    private actor Confined {
        let loop: EventLoop
        var log: [Int] = []

        init(_ loop: EventLoop) { self.loop = loop }
        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
        func append(_ number: Int) -> Bool {
            log.append(number)
            return loop.isOnLoop
        }
    }

    @Test("Runs the actors confined to it on its own thread, one at a time")
    func confinement() async {
        let loop = EventLoop(name: "test-loop")
        let actor = Confined(loop)
        #expect(!loop.isOnLoop)
        await withTaskGroup(of: Bool.self) { group in
            for number in 0..<1000 { group.addTask { await actor.append(number) } }
            for await wasOnLoop in group { #expect(wasOnLoop) }
        }
        #expect(await actor.log.sorted() == Array(0..<1000))
    }

    @Test("Lets its own callbacks enter a confined actor synchronously")
    func assumeIsolated() async {
        let loop = EventLoop(name: "test-loop")
        let actor = Confined(loop)
        let entered = await withCheckedContinuation { continuation in
            loop.execute { continuation.resume(returning: actor.assumeIsolated { $0.append(7) }) }
        }
        #expect(entered)
        #expect(await actor.log == [7])
    }

    @Test("Fires timers in order of their deadlines, and cancelled ones never")
    func timers() async {
        let loop = EventLoop(name: "test-loop")
        let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
        loop.execute {
            _ = loop.schedule(after: .milliseconds(20)) {
                continuation.yield(3)
                continuation.finish()
            }
            let cancelled = loop.schedule(after: .milliseconds(5)) { continuation.yield(2) }
            _ = loop.schedule(after: .milliseconds(1)) { continuation.yield(1) }
            loop.cancel(cancelled)
        }
        var fired: [Int] = []
        for await number in stream { fired.append(number) }
        #expect(fired == [1, 3])
    }

    @Test("A timer that schedules itself for the past leaves turns to everything else")
    func restlessTimer() async {
        let loop = EventLoop(name: "test-loop")
        let isOver = Mutex(false)
        @Sendable func again() {
            guard !isOver.withLock({ $0 }) else { return }
            _ = loop.schedule(at: .now - .seconds(1), again)
        }
        loop.execute(again)
        for _ in 0..<10 {
            await withCheckedContinuation { continuation in loop.execute { continuation.resume() } }
            await withCheckedContinuation { continuation in
                loop.execute { _ = loop.schedule(after: .milliseconds(1)) { continuation.resume() } }
            }
        }
        isOver.withLock { $0 = true }
    }

    @Test("Work submitted from many threads is all run", arguments: [1, 8])
    func submissions(tasks: Int) async {
        let loop = EventLoop(name: "test-loop")
        let actor = Confined(loop)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<tasks {
                group.addTask { for number in 0..<500 { _ = await actor.append(number) } }
            }
        }
        #expect(await actor.log.count == tasks * 500)
    }
}
