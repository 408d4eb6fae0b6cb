import Celeriac

@main
struct ByName: TaskProgram {
    static let app = TaskApp("by-name")

    static let divide = app.task("maths.divide", parameters: ["x", "y"]) { (x: Double, y: Double) in x / y }

    static let tasks = Tasks { divide }

    static func run() async throws {
        try await app.withWorker { event in
            if case .deadLettered(_, let failure, let queue) = event { print("kept in \(queue): \(failure)") }
        } _: {
            let half = app.signature("maths.divide", 1.0, 2.0, returning: Double.self)
            print("1 / 2 = \(try await half.apply().value(within: .seconds(10)))")

            let byKeyword = app.signature("maths.divide", keywords: ["x": 3, "y": 4], returning: Double.self)
            print("3 / 4 = \(try await byKeyword.apply().value(within: .seconds(10)))")

            // Nobody has this task: the caller is told, and the message is kept.
            let unknown = try await app.signature("maths.devide", 1.0, 2.0).apply()
            do {
                print(try await unknown.value(within: .seconds(10)))
            } catch let failure as TaskFailure {
                print("the caller gets \(failure)")
            }
        }
    }
}
