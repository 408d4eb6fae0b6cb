import Celeriac

struct Resize: StructTask {
    static let name: TaskName = "images.resize"

    let source: String
    let width: Int
    var format: String?

    func run(context: TaskContext) async throws -> String {
        "\(source) at \(width) pixels, as \(format ?? "jpeg")"
    }
}

@main
struct Structs: TaskProgram {
    static let app = TaskApp("structs")

    static let resize = app.task(Resize.self, options: TaskOptions(timeLimit: .seconds(30)))

    static let tasks = Tasks { resize }

    static func run() async throws {
        try await app.withWorker {
            let handle = try await resize.delay(Resize(source: "cat.png", width: 320))
            print(try await handle.value(within: .seconds(10)))

            // The same call as a program in another language makes it: resize.apply_async(kwargs={...}).
            let byName = app.signature(
                "images.resize",
                keywords: ["source": "dog.png", "width": 640, "format": "webp"],
                returning: String.self
            )
            print(try await byName.apply().value(within: .seconds(10)))
        }
    }
}
