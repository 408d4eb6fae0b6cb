import Celeriac
import FoundationEssentials

// The code of the articles, so that what they show compiles. Nothing here is run.

struct GuideShop {
    func state(of order: Int) async throws -> String? { "paid" }
}

func tasksArticle(_ app: TaskApp, shop: GuideShop) {
    let resize = app.task("images.resize") { (source: String, width: Int) async throws -> String in
        "\(source) at \(width) pixels"
    }

    let greet = app.task("letters.greet") { (context: TaskContext, name: String) in
        context.logger.info("greeting", metadata: [("name", name)])
        return "Dear \(name), this is attempt \(context.attempt)"
    }

    let divide = app.task("maths.divide", parameters: ["x", "y"]) { (x: Double, y: Double) in x / y }

    let options = TaskOptions(
        queue: "images",
        retry: .exponential(attempts: 5),
        timeLimit: .seconds(30),
        expires: .seconds(3600)
    )

    let poll = app.task("orders.poll", options: TaskOptions(retry: .fixed(attempts: 10, delay: .seconds(30)))) {
        (order: Int) async throws -> String in
        guard let state = try await shop.state(of: order) else { throw TaskEnding.reject(reason: "no order \(order)") }
        if state == "pending" { throw TaskEnding.retry() }
        return state
    }

    _ = (resize, greet, divide, options, poll)
}

func callingArticle(_ app: TaskApp, _ add: TaskDefinition<Int, Int, Int>, tomorrow: Date) async throws {
    let handle = try await add.delay(2, 3)
    let same = try await add(2, 3).apply(CallOptions(queue: "maths"))

    let id: TaskID = "order-4711-invoice"
    do throws(CeleriacError) {
        try await add.apply(2, 3, options: CallOptions(id: id))
    } catch {
        guard error.isIndeterminate else { throw error }
        try await add.apply(2, 3, options: CallOptions(id: id))
    }

    try await add.apply(2, 3, options: CallOptions(countdown: .seconds(90)))
    try await add.apply(2, 3, options: CallOptions(eta: tomorrow, expires: .seconds(2 * 86_400)))

    let half = app.signature("maths.divide", 1.0, 2.0, returning: Double.self)

    _ = (handle, same, half)
}

func resultsArticle(_ app: TaskApp, _ handle: TaskHandle<Int>) async throws {
    let sum = try await handle.value(within: .seconds(10))

    let earlier = app.handle("2f1c7b1e-2c0f-4a4f-9d0b-0a6de11a8a10", returning: Int.self)
    let state = try await earlier.state()

    _ = (sum, state)
}

struct GuideMail {
    func send(to address: String) async throws {}
}

struct GuideFeeds {
    struct Answer {
        var text = ""
        var retryAfter: Duration?
    }

    func fetch(_ feed: String) async throws -> Answer { Answer() }
}

func limitsArticle(_ app: TaskApp, mail: GuideMail, feeds: GuideFeeds) {
    let send = app.task("mail.send", options: .init(rateLimit: "100/m")) { (address: String) async throws in
        try await mail.send(to: address)
    }

    let limit = RateLimit(
        "60/m",
        burst: 10,
        key: .argument("customer"),
        cost: .by { call in Double(call["pages"]?.int ?? 1) }
    )
    let render = app.task("pdf.render", parameters: ["customer", "pages"], options: .init(rateLimit: limit)) {
        (customer: String, pages: Int) in "\(pages) pages for \(customer)"
    }

    let fetch = app.task("feeds.fetch", options: .init(rateLimit: "5/s")) { (feed: String) async throws -> String in
        let answer = try await feeds.fetch(feed)
        if let pause = answer.retryAfter { throw TaskEnding.rateLimited(for: pause) }
        return answer.text
    }

    let export = app.task("reports.export", options: .init(concurrencyLimit: 2)) { (month: String) in
        "report of \(month)"
    }
    let sync = app.task(
        "accounts.sync",
        parameters: ["account"],
        options: .init(concurrencyLimit: ConcurrencyLimit(1, key: .argument("account")))
    ) { (account: Int) in account }

    _ = (send, render, fetch, export, sync)
}

struct OutOfStock: TaskError {
    static let failureModule = "shop.errors"
    let article: String

    init(article: String) { self.article = article }

    var failureArguments: [JSONValue] { [.string(article)] }

    init?(failureArguments: [JSONValue]) {
        guard let article = failureArguments.first?.string else { return nil }
        self.article = article
    }
}

func failuresOfResults(_ app: TaskApp, _ handle: TaskHandle<Int>) async throws {
    app.register(error: OutOfStock.self)
    do {
        _ = try await handle.value(within: .seconds(10))
    } catch let error as OutOfStock {
        print("no \(error.article) left")
    }
}

func deploymentArticle() -> TaskApp {
    let app = TaskApp(
        "shop",
        configuration: Configuration(
            brokerURL: "amqp://shop:secret@rabbit.internal:5672/shop",
            resultBackendURL: "redis://:secret@redis.internal:6379/0",
            queues: [QueueDeclaration("orders", kind: .quorum), QueueDeclaration("mail", maximumPriority: 10)],
            resultTTL: .seconds(3600),
            retry: .exponential(attempts: 3)
        )
    )
    return app
}

func mixingArticle(_ app: TaskApp) async throws {
    let total = try await app.signature("proj.add", 2, 3, returning: Int.self).apply().value(within: .seconds(10))

    _ = total
}

func progressOfResults(_ app: TaskApp, _ handles: [TaskHandle<Int>], _ handle: TaskHandle<NoValue>) async throws {
    @Sendable func encodeFrames(from frame: Int) async throws {}
    let encode = app.task("video.encode") { (context: TaskContext, frames: Int) in
        for frame in stride(from: 0, to: frames, by: 100) {
            try await encodeFrames(from: frame)
            try? await context.report(progress: TaskProgress(current: Double(frame), total: Double(frames)))
        }
        try? await context.update(state: TaskState("UPLOADING"), meta: ["to": "archive"])
    }

    for try await progress in handle.progress(within: .seconds(600)) {
        print(progress.current)
    }

    var sum = 0
    for try await done in app.results(of: handles, within: .seconds(60)) {
        sum += try done.value()
    }

    _ = encode
}
