import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

/// What every result backend must do, whatever is behind it.
///
/// Another driver joins with one file: a factory, the list of its abilities, a parameterised test that calls ``verify(_:)``
/// for the clauses within them, and a test that names those beyond them.
enum ResultBackendContract: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case unknown = "Knows no record of an unknown task"
    case document = "Gives a stored document back unchanged"
    case progress = "Replaces an earlier state by a later one"
    case successStays = "Never overwrites a success"
    case failureYields = "Lets a success overwrite a failure"
    case endStays = "Does not let a state on the way overwrite an end"
    case staleRun = "Never lets an earlier run overwrite the record of a later one"
    case newerRun = "Lets a later run overwrite the failure of an earlier one"
    case openEnd = "Lets the replay of a dead letter overwrite its failure"
    case forgottenRun = "Forgets which run wrote a record together with the record"
    case expiredRun = "Forgets which run wrote a record when the record ends"
    case queuedYields = "Records a call as queued only where nothing is stored, and replaces that by anything"
    case ownStates = "Keeps a task's own states with what they tell"
    case family = "Keeps children and parents"
    case listening = "Tells listeners of each record stored, until they leave or are dropped"
    case results = "Gives many tasks in the order in which they end"
    case resultsInTime = "Gives those that have ended before the time is over"
    case updates = "Gives a task's last state to latecomers, then each newer one"
    case resultsCancelled = "Ends a cancelled wait for many tasks and stays usable"
    case expiry = "Forgets a record after its time to live"
    case storedBefore = "Tells an outcome stored before it is asked for"
    case storedLater = "Wakes those who wait for an outcome"
    case manyTasks = "Wakes each of many waits with its own task's outcome"
    case notFinal = "Goes on waiting while a task has only begun"
    case failure = "Gives a failure as an outcome, not as an error"
    case timeLimit = "Ends a wait at its time limit"
    case cancelled = "Ends a cancelled wait and stays usable"
    case forget = "Forgets a record on request"
    case close = "Ends waits and calls when closed"
    case tellsStored = "Tells whether a record was stored"
    case strangers = "Keeps records of calls that were not announced"
    case otherProcesses = "Shows other processes what it stores, and wakes them"
    case callsMadeElsewhere = "Says of a call made elsewhere that it cannot know it"

    var testDescription: String { rawValue }

    /// Whether a backend of such abilities is to honour the clause.
    private func applies(to abilities: ResultAbilities) -> Bool {
        switch self {
        case .tellsStored: abilities.contains(.immediate)
        case .strangers: abilities.contains(.anyCall)
        case .otherProcesses: abilities.contains(.anyProcess)
        case .callsMadeElsewhere: !abilities.contains(.anyCall)
        default: true
        }
    }

    /// The clauses that a backend of such abilities is to honour.
    static func within(_ abilities: ResultAbilities) -> [ResultBackendContract] {
        allCases.filter { $0.applies(to: abilities) }
    }

    /// The clauses that a backend of such abilities does not honour.
    static func beyond(_ abilities: ResultAbilities) -> Set<ResultBackendContract> {
        Set(allCases.filter { !$0.applies(to: abilities) })
    }

    /// Checks the clause against a new backend.
    ///
    /// - Parameter make: Makes a client of the store; called twice where two processes meet.
    func verify(_ make: () async throws -> any ResultBackend) async throws {
        let backend = try await make()
        #expect(applies(to: backend.abilities), "\(backend.address) does not say that it is able to")
        let other = self == .otherProcesses ? try await make() : backend
        let result: Result<Void, any Error>
        do {
            result = .success(try await check(backend, other))
        } catch {
            result = .failure(error)
        }
        await backend.close()
        await other.close()
        try result.get()
    }

    private func check(_ backend: any ResultBackend, _ other: any ResultBackend) async throws {
        let task = try await backend.newTask()
        switch self {
        case .unknown:
            #expect(try await backend.record(of: task) == nil)
            try await backend.forget(task)
            #expect(try await backend.kept(uniqueTask()) == nil)
        case .tellsStored:
            #expect(try await backend.keep(.started(task)))
            #expect(try await backend.keep(.success(task)))
            #expect(try await backend.keep(.failure(task)) == false)
        case .strangers:
            let stranger = uniqueTask()
            #expect(try await backend.store(.success(stranger, 7), ttl: .seconds(60), within: .seconds(20)))
            #expect(try await backend.await(stranger).value(as: Int.self) == 7)
        case .otherProcesses:
            async let outcome = other.await(task)
            try await backend.keep(.started(task))
            try await eventually("the other one sees it") { try await other.record(of: task)?.state == .started }
            try await backend.keep(.success(task, 7))
            #expect(try await outcome.value(as: Int.self) == 7)
            try await other.forget(task)
            #expect(try await backend.record(of: task) == nil)
        case .callsMadeElsewhere:
            let stranger = uniqueTask()
            try await backend.store(.success(stranger), ttl: .seconds(60), within: .seconds(20))
            func expectNotFound(_ body: () async throws -> Void) async {
                await #expect { try await body() } throws: { ($0 as? CeleriacError)?.code == .notFound }
            }
            await expectNotFound { _ = try await backend.record(of: stranger) }
            await expectNotFound { _ = try await backend.await(stranger) }
            await expectNotFound {
                _ = try await backend.listen(to: [task, stranger], within: .seconds(20)) { _ in }
            }
            #expect(try await app(backend).handle(stranger).state() == .unknown)
            #expect(try await app(backend).handle(task).state() == .pending)
        case .document:
            let record = TaskRecord.success(task, ["list": [1, 2.5, nil, true], "text": "grüße \"🐘\"\n"])
            #expect(try await backend.keep(record))
            let stored = try #require(try await backend.kept(task))
            #expect(stored.document == record.document)
            #expect(stored.task == task)
            #expect(stored.state == .success)
        case .progress:
            #expect(try await backend.keep(.started(task)))
            #expect(try await backend.kept(task)?.state == .started)
            #expect(try await backend.keep(.success(task)))
            #expect(try await backend.kept(task)?.state == .success)
        case .successStays:
            #expect(try await backend.keep(.success(task, "first")))
            try await backend.keepInVain(.failure(task))
            try await backend.keepInVain(.success(task, "second"))
            #expect(try await backend.kept(task)?.value(as: String.self) == "first")
        case .failureYields:
            #expect(try await backend.keep(.failure(task)))
            #expect(try await backend.keep(.success(task)))
            #expect(try await backend.kept(task)?.state == .success)
        case .endStays:
            #expect(try await backend.keep(.failure(task)))
            try await backend.keepInVain(.started(task))
            #expect(try await backend.kept(task)?.state == .failure)
        case .staleRun:
            let (first, again, retry) = (
                Attempt.first, Attempt(retries: 0, redeliveries: 1), Attempt(retries: 1, redeliveries: 0)
            )
            #expect(try await backend.keep(.started(task), of: first))
            #expect(try await backend.keep(.started(task), of: again))
            try await backend.keepInVain(.failure(task), of: first)
            try await backend.keepInVain(.success(task), of: first)
            #expect(try await backend.keep(.started(task), of: retry))
            try await backend.keepInVain(.success(task), of: again)
            #expect(try await backend.keep(.failure(task, "last"), of: retry))
            try await backend.keepInVain(.success(task), of: again)
            #expect(try await backend.kept(task)?.failure?.arguments == ["last"])
        case .newerRun:
            #expect(try await backend.keep(.failure(task), of: Attempt(retries: 3, redeliveries: 2)))
            #expect(try await backend.keep(.success(task), of: Attempt(retries: 3, redeliveries: 3)))
            try await backend.keepInVain(.failure(task), of: Attempt(retries: 4, redeliveries: 0))
            #expect(try await backend.kept(task)?.state == .success)
        case .openEnd:
            #expect(try await backend.keep(.started(task), of: Attempt(retries: 2, redeliveries: 1)))
            var letter = TaskRecord.failure(task)
            letter.isOpen = true
            try await backend.keepInVain(letter, of: Attempt(retries: 2, redeliveries: 0))
            #expect(try await backend.keep(letter, of: Attempt(retries: 2, redeliveries: 1)))
            #expect(try await backend.keep(.success(task)))
        case .forgottenRun:
            #expect(try await backend.keep(.failure(task), of: Attempt(retries: 2, redeliveries: 0)))
            try await backend.forget(task)
            #expect(try await backend.keep(.started(task)))
            #expect(try await backend.keep(.success(task)))
        case .expiredRun:
            var record = TaskRecord.failure(task)
            record.attempt = Attempt(retries: 2, redeliveries: 0)
            try await backend.keep(record, of: record.attempt, ttl: .milliseconds(100))
            try await eventually("the record has ended") { try await backend.kept(task) == nil }
            #expect(try await backend.keep(.started(task)))
            #expect(try await backend.keep(.success(task)))
        case .queuedYields:
            let queued = TaskRecord(task: task, state: .queued, value: JSONText.null, at: .now)
            #expect(try await backend.keep(queued, of: .none))
            #expect(try await backend.kept(task)?.state == .queued)
            try await backend.keepInVain(queued, of: .none)
            #expect(try await backend.keep(.started(task)))
            try await backend.keepInVain(queued, of: .none)
            #expect(try await backend.kept(task)?.state == .started)
        case .ownStates:
            let meta = JSONText.value(["current": 1, "total": 4])
            #expect(try await backend.keep(TaskRecord(task: task, state: .progress, value: meta, at: .now)))
            let stored = try #require(try await backend.kept(task))
            #expect(stored.state == .progress)
            #expect(try stored.value(as: TaskProgress.self) == TaskProgress(current: 1, total: 4))
        case .family:
            let children: [TaskID] = ["a", "b"]
            let value = JSONText.value(1)
            let record = TaskRecord(
                task: task,
                state: .success,
                value: value,
                at: .now,
                parent: "p",
                children: children
            )
            #expect(try await backend.keep(record))
            #expect(try await backend.kept(task)?.children == children)
            #expect(try await backend.kept(task)?.parent == "p")
        case .listening:
            try await listening(backend)
        case .results:
            try await results(backend)
        case .resultsInTime:
            let app = app(backend)
            try await backend.keep(.success(task, 7))
            let late = try await backend.newTask()
            var iterator = app.results(of: [app.handle(task), app.handle(late)], within: .seconds(1))
                .makeAsyncIterator()
            #expect(try await iterator.next()?.handle.id == task)
            await #expect { _ = try await iterator.next() } throws: { ($0 as? CeleriacError)?.code == .timedOut }
            #expect(try await iterator.next() == nil)
        case .updates:
            try await updates(backend, task)
        case .resultsCancelled:
            let app = app(backend)
            let wait = Task {
                for try await _ in app.results(of: [app.handle(task)], within: .seconds(20)) {}
            }
            wait.cancel()
            await #expect { try await wait.value } throws: { ($0 as? CeleriacError)?.code == .cancelled }
            try await backend.keep(.success(task))
            #expect(try await backend.await(task).state == .success)
        case .expiry:
            try await backend.keep(.success(task), ttl: .milliseconds(100))
            try await eventually("the record has ended") { try await backend.kept(task) == nil }
            #expect(try await backend.keep(.failure(task)))
        case .storedBefore:
            try await backend.keep(.success(task, 7))
            #expect(try await backend.await(task).value(as: Int.self) == 7)
        case .storedLater:
            async let first = backend.await(task)
            async let second = backend.await(task)
            try await backend.keep(.success(task, 7))
            #expect(try await [first.value(as: Int.self), second.value(as: Int.self)] == [7, 7])
        case .manyTasks:
            try await manyTasks(backend)
        case .notFinal:
            async let outcome = backend.await(task)
            try await backend.keep(.started(task))
            try await backend.keep(.success(task))
            #expect(try await outcome.state == .success)
        case .failure:
            async let outcome = backend.await(task)
            try await backend.keep(.failure(task, "boom"))
            let failure = try #require(try await outcome.failure)
            #expect(failure.type == "ValueError")
            #expect(failure.arguments == ["boom"])
            #expect(failure.module == "builtins")
        case .timeLimit:
            try await backend.keep(.started(task))
            let error = await #expect(throws: CeleriacError.self) {
                try await backend.outcome(of: task, within: .milliseconds(50))
            }
            #expect(error?.code == .timedOut)
        case .cancelled:
            let wait = Task { try await backend.await(task) }
            wait.cancel()
            let error = await #expect(throws: CeleriacError.self) { try await wait.value }
            #expect(error?.code == .cancelled)
            try await backend.keep(.success(task))
            #expect(try await backend.await(task).state == .success)
        case .forget:
            try await backend.keep(.success(task))
            try await backend.forget(task)
            #expect(try await backend.kept(task) == nil)
            #expect(try await backend.keep(.failure(task)))
            try await backend.forget(uniqueTask())
        case .close:
            let wait = Task { try await backend.await(task) }
            await backend.close()
            await #expect { try await wait.value } throws: { ($0 as? CeleriacError)?.code == .closed }
            let error = await #expect(throws: CeleriacError.self) { try await backend.keep(.success(task)) }
            #expect(error?.code == .closed)
            await backend.close()
        }
    }
}
