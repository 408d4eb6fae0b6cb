import CeleriacCore
import CeleriacWorker
import FoundationEssentials
import TestSupport
import Testing

@Suite("Scopes and conflicts of unique tasks", .timeLimit(.minutes(1))) struct UniqueScopeTests {
    private struct Boom: Error {}

    /// A task whose bodies note their argument, then wait for the test.
    private final class Stage: Sendable {
        let begun = Shared<[Int]>([])
        let ended = Shared<[Int]>([])
        let open = Shared(false)
        let app: TaskApp
        let task: TaskDefinition<Int, Int>

        init(_ policy: UniquePolicy, retries: Int = 0, isOpen: Bool = false) {
            app = memoryApp()
            open.update { $0 = isOpen }
            let options = TaskOptions(
                retry: .fixed(attempts: retries + 1, delay: .milliseconds(1)),
                unique: policy
            )
            task = app.task("t", parameters: ["x"], options: options) {
                [begun, ended, open] (x: Int) async throws -> Int in
                begun.update { $0.append(x) }
                while !open.value { try await Task.sleep(for: .milliseconds(1)) }
                if x < 0 { throw Boom() }
                ended.update { $0.append(x) }
                return x
            }
        }

        var locks: [HeldLock] {
            get async throws { try await app.drivers().locks.locks(matching: "*", limit: 100) }
        }
    }

    private static func policy(_ scope: UniquePolicy.Scope, _ conflict: UniquePolicy.Conflict) -> UniquePolicy {
        UniquePolicy(scope: scope, key: .task, onConflict: conflict)
    }

    @Test("Until started: the lock is free once the body begins")
    func untilStarted() async throws {
        let stage = Stage(Self.policy(.untilStarted, .refuse))
        try await stage.task.delay(1)
        await #expect(throws: CeleriacError.self) { try await stage.task.delay(2) }
        try await withWorker(stage.app) { _ async throws in
            try await eventually { stage.begun.value == [1] }
            let second = try await stage.task.delay(3)
            stage.open.update { $0 = true }
            #expect(try await second.value(within: .seconds(20)) == 3)
        }
        #expect(try await stage.locks.isEmpty)
    }

    @Test("A window: the lock outlasts the call, whatever becomes of it", arguments: [1, -1])
    func window(_ x: Int) async throws {
        for scope in [UniquePolicy.Scope.window(.seconds(600)), .forever] {
            let stage = Stage(Self.policy(scope, .refuse), isOpen: true)
            let first = try await stage.task.delay(x)
            try await withWorker(stage.app) { worker in
                try await eventually { worker.statistics.succeeded + worker.statistics.failed == 1 }
            }
            let error = await #expect(throws: CeleriacError.self) { try await stage.task.delay(2) }
            #expect(error?.conflict?.existing == first.id)
            let lease = try #require(error?.conflict?.remaining)
            #expect(scope == .forever ? lease > .seconds(360 * 86_400) : lease <= .seconds(600))
        }
    }

    @Test("A window ends by time alone, and may be shorter than sending takes")
    func windowEnds() async throws {
        let time = ManualTimeSource()
        let app = memoryApp { $0.time = time }
        let task = app.task("t", options: .init(unique: .throttle(.seconds(2), key: .task))) { (x: Int) in x }
        #expect(try await task.delay(1).disposition == .sent)
        #expect(try await task.delay(2).disposition == .ignored)
        time.advance(by: .seconds(3))
        #expect(try await task.delay(3).disposition == .sent)
    }

    @Test("For ever is prolonged by every call that meets it")
    func forever() async throws {
        let time = ManualTimeSource()
        let app = memoryApp { $0.time = time }
        let task = app.task("t", options: .init(unique: Self.policy(.forever, .ignore))) { (x: Int) in x }
        let first = try await task.delay(1)
        for _ in 0..<3 {
            time.advance(by: .seconds(300 * 86_400))
            let handle = try await task.delay(2)
            #expect(handle.disposition == .ignored && handle.id == first.id)
        }
    }

    @Test("A call is refused, given the first one's handle, or ignored, and is told which")
    func dispositions() async throws {
        let stage = Stage(Self.policy(.untilFinished, .refuse))
        let first = try await stage.task.delay(1)
        #expect(first.disposition == .sent)
        for (conflict, disposition) in [
            (UniquePolicy.Conflict.returnExisting, CallDisposition.existing), (.ignore, .ignored),
        ] {
            let options = CallOptions(unique: Self.policy(.untilFinished, conflict))
            let handle = try await stage.task.apply(2, options: options)
            #expect(handle.id == first.id)
            #expect(handle.disposition == disposition)
        }
        #expect(try await stage.app.drivers().broker.depth(of: "celery") == 1)
    }

    @Test("Trailing: while one runs at most one more is queued, and it runs afterwards")
    func trailing() async throws {
        let stage = Stage(Self.policy(.untilFinished, .trailing))
        let first = try await stage.task.delay(1)
        let joined = try await stage.task.delay(2)
        #expect(joined.id == first.id && joined.disposition == .joined)
        try await withWorker(stage.app) { _ async throws in
            try await eventually { stage.begun.value == [1] }
            let second = try await stage.task.delay(3)
            #expect(second.disposition == .sent)
            for x in 4..<8 {
                let handle = try await stage.task.delay(x)
                #expect(handle.id == second.id && handle.disposition == .joined)
            }
            try await Task.sleep(for: .milliseconds(50))
            #expect(stage.begun.value == [1], "the next run waits for the first")
            stage.open.update { $0 = true }
            #expect(try await second.value(within: .seconds(20)) == 3)
        }
        #expect(stage.ended.value == [1, 3])
        #expect(try await stage.locks.isEmpty)
    }

    @Test("A trailing run comes after one that fails and is retried")
    func trailingRetry() async throws {
        let stage = Stage(Self.policy(.untilFinished, .trailing), retries: 2)
        try await stage.task.delay(-1)
        try await withWorker(stage.app) { _ async throws in
            try await eventually { stage.begun.value == [-1] }
            let second = try await stage.task.delay(3)
            stage.open.update { $0 = true }
            #expect(try await second.value(within: .seconds(20)) == 3)
        }
        #expect(stage.begun.value == [-1, -1, -1, 3])
        #expect(try await stage.locks.isEmpty)
    }

    @Test("Replacing: the queued call runs with the newest arguments; a running one is followed")
    func replacing() async throws {
        for scope in [UniquePolicy.Scope.untilFinished, .untilStarted] {
            let stage = Stage(Self.policy(scope, .replaceArguments))
            let first = try await stage.task.delay(1)
            for x in 2..<5 {
                let handle = try await stage.task.delay(x)
                #expect(handle.id == first.id && handle.disposition == .replaced)
            }
            try await withWorker(stage.app) { _ async throws in
                try await eventually { stage.begun.value == [4] }
                let next = try await stage.task.delay(5)
                #expect(next.disposition == .sent)
                #expect(try await stage.task.delay(6).disposition == .replaced || scope == .untilStarted)
                stage.open.update { $0 = true }
                #expect(try await first.value(within: .seconds(20)) == 4)
                try await eventually { stage.ended.value.contains(6) }
            }
            #expect(try await stage.locks.isEmpty)
        }
    }

    @Test("Arguments that were replaced stay so in a retry and in a dead letter")
    func replacedAgain() async throws {
        let stage = Stage(Self.policy(.untilFinished, .replaceArguments), retries: 1, isOpen: true)
        try await stage.task.delay(1)
        try await stage.task.delay(-2)
        try await withWorker(stage.app) { worker async throws in
            try await eventually { worker.statistics.failed == 1 }
        }
        #expect(stage.begun.value == [-2, -2])
        let app = memoryApp()
        let task = app.task("t", options: .init(unique: Self.policy(.untilFinished, .replaceArguments))) { (x: Int) in x
        }
        try await task.delay(1)
        try await app.signature("t", arguments: ["wrong"]).apply()
        try await withWorker(app) { worker in try await eventually { worker.statistics.deadLettered == 1 } }
        let letter = try #require(try await takeDeadLetter(app))
        #expect(String(decoding: letter.body, as: UTF8.self).contains("wrong"))
        #expect(try await app.drivers().locks.locks(matching: "*", limit: 10).isEmpty)
    }

    @Test("A call that others have joined expires when the last of them does")
    func joinedExpiry() async throws {
        let stage = Stage(Self.policy(.untilFinished, .replaceArguments), isOpen: true)
        let first = try await stage.task.apply(1, options: .init(expires: .milliseconds(1)))
        #expect(try await stage.task.apply(2, options: .init(expires: .seconds(600))).disposition == .replaced)
        try await Task.sleep(for: .milliseconds(5))
        try await withWorker(stage.app) { _ async throws in
            #expect(try await first.value(within: .seconds(20)) == 2)
        }
    }

    @Test("Debounce: the last arguments run, once the calls have stopped coming")
    func debounce() async throws {
        let stage = Stage(.debounce(.milliseconds(300), maximumWait: .seconds(60)), isOpen: true)
        let first = try await stage.task.delay(1)
        try await withWorker(stage.app) { _ async throws in
            for x in 2..<8 {
                #expect(try await stage.task.delay(x).id == first.id)
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(try await first.value(within: .seconds(20)) == 7)
        }
        #expect(stage.ended.value == [7])
    }

    @Test("Debounce: calls that never stop coming do not put the run off for ever")
    func debounceStarvation() async throws {
        let stage = Stage(.debounce(.milliseconds(200), maximumWait: .milliseconds(400)), isOpen: true)
        try await withWorker(stage.app) { _ async throws in
            var x = 0
            while stage.ended.value.count < 3 {
                x += 1
                try await stage.task.delay(x)
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(x > stage.ended.value.count, "most were replaced")
        }
    }

    @Test("What has no meaning is refused when a call is made")
    func meaningless() async throws {
        var wrong = [
            Self.policy(.window(.seconds(1)), .trailing), Self.policy(.forever, .replaceArguments),
            Self.policy(.window(.zero), .refuse), .celeryOnce(onConflict: .trailing), .debounce(.zero),
        ]
        var policy = UniquePolicy.debounce(.seconds(1))
        policy.onConflict = .refuse
        wrong.append(policy)
        for policy in wrong {
            let error = await #expect(throws: CeleriacError.self) { try await Stage(policy).task.delay(1) }
            #expect(error?.code == .configuration)
        }
    }

    @Test("The body sees its lock's fence, which grows from call to call")
    func fence() async throws {
        let app = memoryApp()
        let fences = Shared<[UInt64]>([])
        let options = TaskOptions(unique: UniquePolicy(key: .task))
        let task = app.task("t", options: options) { (context: TaskContext, x: Int) in
            fences.update { $0.append(context.lockFence ?? 0) }
        }
        try await withWorker(app) { worker async throws in
            for count in 1...3 {
                try await task.delay(count)
                try await eventually { worker.statistics.succeeded == count }
            }
        }
        #expect(fences.value.count == 3 && fences.value[0] > 0)
        #expect(fences.value == Set(fences.value).sorted())
    }

    @Test("A lock that the store forgets is taken again while the body runs, with a greater fence")
    func forgotten() async throws {
        let stage = Shared<[UInt64]>([])
        let app = memoryApp()
        let options = TaskOptions(unique: UniquePolicy(key: .task, lease: .seconds(1)))
        let task = app.task("t", options: options) { (context: TaskContext) in
            let first = try #require(context.lockFence)
            try await app.drivers().locks.clear("celeriac-unique:t:*")
            try await eventually("the lock is taken again") { context.lockFence != first }
            stage.update { $0 = [first, context.lockFence ?? 0] }
        }
        let handle = try await task.delay()
        try await withWorker(app) { _ async throws in _ = try await handle.value(within: .seconds(20)) }
        #expect(stage.value.count == 2 && stage.value[1] > stage.value[0])
    }
}
