import Foundation

/// The written parts of the project, as the tests see them.
enum Documents {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static let catalog = "Sources/Celeriac/Celeriac.docc"

    /// README, changelog and the like, the articles and the decisions: paths from the root.
    static var pages: [String] {
        [
            "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Benchmarks/README.md", "Examples/README.md",
            "Examples/AMQP/README.md",
        ] + articles
    }

    /// All pages of the catalog.
    static var articles: [String] { files(in: [catalog], ending: ".md") }

    static func text(of path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// The files below some folders, as paths from the root.
    static func files(in folders: [String], ending: String) -> [String] {
        folders.flatMap { folder -> [String] in
            let paths = FileManager.default.enumerator(atPath: root.appending(path: folder).path)
            return (paths?.compactMap { $0 as? String } ?? []).map { "\(folder)/\($0)" }
        }
        .filter { $0.hasSuffix(ending) }.sorted()
    }

    /// The fenced blocks of a language.
    static func blocks(of language: String, in text: String) -> [String] {
        var blocks: [String] = []
        var current: [Substring]?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let trimmed = line.trimmingCharacters(in: .whitespaces)
            if let lines = current {
                if trimmed == "```" {
                    blocks.append(lines.joined(separator: "\n"))
                    current = nil
                } else {
                    current?.append(line)
                }
            } else if trimmed == "```\(language)" {
                current = []
            }
        }
        return blocks
    }

    /// The lines of a code text without indentation and without blank lines, so that only the code counts.
    static func code(_ text: String) -> [String] {
        text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }

    /// Whether some lines stand in a row among others.
    static func contains(_ lines: [String], _ wanted: [String]) -> Bool {
        guard !wanted.isEmpty, lines.count >= wanted.count else { return wanted.isEmpty }
        return (0...lines.count - wanted.count).contains { Array(lines[$0..<$0 + wanted.count]) == wanted }
    }

    /// The targets of links to files, without their anchors.
    static func relativeLinks(in text: String) -> [String] {
        text.matches(of: /\]\(([^)\s#]+)(#[^)]*)?\)/).map { String($0.1) }
            .filter { !$0.contains("://") && !$0.hasPrefix("doc:") }
    }

    /// The names of articles linked as `<doc:…>`.
    static func articleLinks(in text: String) -> [String] {
        text.matches(of: /<doc:([^>#]+)(#[^>]*)?>/).map { String($0.1) }
    }
}
