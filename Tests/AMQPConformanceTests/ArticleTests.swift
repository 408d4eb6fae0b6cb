import Foundation
import Testing

/// The article says what the list says, or its readers would be told what no test shows.
@Suite("Conformance article") struct ArticleTests {
    private static let path = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Sources/AMQP/AMQP.docc/Conformance.md")

    /// What the article has to contain from its first table on.
    private static var tables: String {
        Area.all.map { area in
            var lines = ["## \(area.title)", "", "| Feature | What is shown | Support |", "| --- | --- | --- |"]
            for feature in area.features {
                let support =
                    switch feature.support {
                    case .supported: "yes"
                    case .partly(let reason): "partly: \(reason)"
                    case .notSupported(let reason): "no: \(reason)"
                    }
                lines.append("| \(feature.name) | \(feature.shown) | \(support) |")
            }
            return lines.joined(separator: "\n")
        }.joined(separator: "\n\n") + "\n"
    }

    @Test("The article's tables are the list of features")
    func tables() throws {
        var article = try String(contentsOf: Self.path, encoding: .utf8)
        let start = try #require(article.range(of: "## \(Area.all[0].title)\n"))
        // With this variable set, the test writes what it would demand.
        if ProcessInfo.processInfo.environment["CELERIAC_WRITE_ARTICLE"] != nil {
            article.replaceSubrange(start.lowerBound..., with: Self.tables)
            try article.write(to: Self.path, atomically: true, encoding: .utf8)
        }
        let written = article[start.lowerBound...].split(separator: "\n", omittingEmptySubsequences: false)
        let expected = Self.tables.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(written.count == expected.count, "set CELERIAC_WRITE_ARTICLE to have the tables written")
        for (written, expected) in zip(written, expected) { #expect(written == expected) }
    }

    @Test("Each feature has a name of its own and says what is shown")
    func names() {
        let features = Area.all.flatMap(\.features)
        #expect(Set(features.map(\.name)).count == features.count)
        for feature in features { #expect(!feature.shown.isEmpty && !feature.shown.contains("|")) }
    }

    @Test("The failures known from elsewhere name tests that there are")
    func knownFailures() throws {
        let root = Self.path.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let article = root.appending(path: "Sources/AMQP/AMQP.docc/KnownFailures.md")
        let titles = try String(contentsOf: article, encoding: .utf8).split(separator: "\n")
            .filter { $0.hasPrefix("| ") }.dropFirst(2)
            .map { $0.split(separator: "|")[2].trimmingCharacters(in: .whitespaces) }
        #expect(titles.count > 10)
        let tests = try #require(FileManager.default.enumerator(atPath: root.appending(path: "Tests").path))
        var sources = ""
        for case let file as String in tests where file.hasSuffix(".swift") {
            sources += try String(contentsOf: root.appending(path: "Tests/\(file)"), encoding: .utf8)
        }
        for title in titles { #expect(sources.contains("\"\(title)\""), "no test \(title)") }
    }
}
