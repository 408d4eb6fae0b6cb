import Celeriac
import FoundationEssentials

// The code of the article on uniqueness, so that what it shows compiles. Nothing here is run.

struct UniqueShop {
    func greet(_ address: String) async throws {}
    func refresh(_ shelf: Int) async throws {}
    func index(_ site: String, _ page: Int) async throws {}
    func save(_ document: Int, _ text: String) async throws {}
    func publish(_ edition: Int, ifNewerThan fence: UInt64?) async throws {}
    func replacePrices(fence: UInt64) async throws -> Int { 0 }
}

func uniquenessArticle(_ app: TaskApp, shop: UniqueShop) async throws {
    let welcome = app.task(
        "mails.welcome",
        options: TaskOptions(unique: UniquePolicy(scope: .forever, onConflict: .ignore))
    ) {
        (address: String) async throws in try await shop.greet(address)
    }
    let refresh = app.task("prices.refresh", options: TaskOptions(unique: .throttle(.seconds(60)))) {
        (shelf: Int) async throws in try await shop.refresh(shelf)
    }

    let byCustomer = UniquePolicy(key: .fields("customer"))
    let onePerTask = UniquePolicy(key: .task)
    let bySite = UniquePolicy(key: .custom { call in call["url"]?.string?.lowercased() ?? "" })

    let index = app.task(
        "search.index",
        parameters: ["site", "page"],
        options: TaskOptions(unique: UniquePolicy(key: .fields("site"), onConflict: .trailing))
    ) { (site: String, page: Int) async throws in try await shop.index(site, page) }

    let save = app.task(
        "documents.save",
        parameters: ["document", "text"],
        options: TaskOptions(unique: .debounce(.seconds(5), maximumWait: .seconds(60), key: .fields("document")))
    ) { (document: Int, text: String) async throws in try await shop.save(document, text) }

    let publish = app.task("shop.publish", options: TaskOptions(unique: UniquePolicy(key: .task))) {
        (context: TaskContext, edition: Int) async throws in
        try await shop.publish(edition, ifNewerThan: context.lockFence)
    }

    let count = try await app.lock("prices").withLock(within: .seconds(10)) { hold in
        try await shop.replacePrices(fence: hold.fence)
    }

    _ = (welcome, refresh, byCustomer, onePerTask, bySite, index, save, publish, count)
}

func celeryOnceArticle(_ app: TaskApp) {
    let rebuild = app.task(
        "proj.rebuild",
        parameters: ["site", "full"],
        options: TaskOptions(unique: .celeryOnce(keys: ["site"]))
    ) {
        (site: String, full: Bool) in "\(site) rebuilt"
    }

    _ = rebuild
}
