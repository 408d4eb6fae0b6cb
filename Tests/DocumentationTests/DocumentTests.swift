import Foundation
import Testing

@Suite("Documents")
struct DocumentTests {
    @Test("Each Swift snippet of the README stands in a program that is compiled")
    func readmeSnippets() throws {
        let snippets = Documents.blocks(of: "swift", in: try Documents.text(of: "README.md"))
        #expect(!snippets.isEmpty)
        try expect(snippets, toStandIn: Documents.files(in: ["Examples", "Workers"], ending: ".swift"))
    }

    @Test("Each Swift snippet of an article stands in code that is compiled", arguments: Documents.articles)
    func articleSnippets(_ path: String) throws {
        let snippets = Documents.blocks(of: "swift", in: try Documents.text(of: path))
        let sources = ["Examples", "Workers", "Tests/DocumentationTests"]
        try expect(snippets, toStandIn: Documents.files(in: sources, ending: ".swift"))
    }

    private func expect(_ snippets: [String], toStandIn sources: [String]) throws {
        let programs = try sources.map { Documents.code(try Documents.text(of: $0)) }
        for snippet in snippets {
            let code = Documents.code(snippet)
            let isCompiled = programs.contains { Documents.contains($0, code) }
            #expect(isCompiled, "no compiled file holds this snippet:\n\(snippet)")
        }
    }

    @Test("Each make target that is mentioned exists", arguments: Documents.pages)
    func makeTargets(_ path: String) throws {
        let makefile = try Documents.text(of: "Makefile")
        let targets = Set(makefile.matches(of: /(?m)^([a-z-]+):/).map { String($0.1) })
        for match in try Documents.text(of: path).matches(of: /(?:`|\$ )make ([a-z-]+)/) {
            #expect(targets.contains(String(match.1)), "\(path) mentions make \(match.1)")
        }
    }

    @Test("Each program to run is a product of the package", arguments: Documents.pages)
    func products(_ path: String) throws {
        let manifest = try Documents.text(of: "Package.swift")
        var programs = Set(manifest.matches(of: /program\("([^"]+)"/).map { String($0.1) })
        programs.formUnion(manifest.matches(of: /pattern\("([^"]+)"/).map { "amqp-\($0.1)" })
        for match in try Documents.text(of: path).matches(of: /swift run ([A-Za-z0-9-]+)/) {
            #expect(programs.contains(String(match.1)), "\(path) runs \(match.1)")
        }
    }

    @Test("Each link to a file leads to one", arguments: Documents.pages)
    func fileLinks(_ path: String) throws {
        let folder = Documents.root.appending(path: path).deletingLastPathComponent()
        for link in Documents.relativeLinks(in: try Documents.text(of: path)) {
            let target = folder.appending(path: link).path
            #expect(FileManager.default.fileExists(atPath: target), "\(path) links to \(link)")
        }
    }

    @Test("Each link to an article leads to one", arguments: Documents.articles)
    func articleLinks(_ path: String) throws {
        let names = Set(Documents.articles.map { URL(filePath: $0).deletingPathExtension().lastPathComponent })
        for name in Documents.articleLinks(in: try Documents.text(of: path)) {
            #expect(names.contains(name), "\(path) links to the article \(name)")
        }
    }

    @Test("The landing page lists each article once")
    func landingPage() throws {
        let page = try Documents.text(of: "\(Documents.catalog)/Celeriac.md")
        let topics = try #require(page.range(of: "## Topics"))
        let listed = Documents.articleLinks(in: String(page[topics.upperBound...]))
        for path in Documents.articles where !path.hasSuffix("/Celeriac.md") {
            let name = URL(filePath: path).deletingPathExtension().lastPathComponent
            #expect(listed.contains(name), "the landing page does not list \(name)")
        }
        #expect(Set(listed).count == listed.count)
    }

    @Test("Each file and folder that the README names in its map exists")
    func map() throws {
        let section = try #require(try Documents.text(of: "README.md").firstMatch(of: /## Where things live\n([^#]+)/))
        let paths = section.1.matches(of: /(?m)^\| `([^`]+)`/).map { String($0.1) }
        #expect(!paths.isEmpty)
        for path in paths {
            #expect(FileManager.default.fileExists(atPath: Documents.root.appending(path: path).path), "no \(path)")
        }
    }

    @Test("No page names a path of somebody's machine or a package registry", arguments: Documents.pages)
    func privatePlaces(_ path: String) throws {
        let text = try Documents.text(of: path)
        // Written apart, so that this file does not name them either.
        let words = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/tm" + "p/", "pypi" + ".org", "npm" + "js"]
        for word in words { #expect(!text.contains(word), "\(path) contains \(word)") }
    }
}
