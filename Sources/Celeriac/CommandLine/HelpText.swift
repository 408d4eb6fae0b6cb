/// Writes the help of a program and of its commands.
struct HelpText {
    private let syntax: ProgramSyntax
    private let width: Int

    init(_ syntax: ProgramSyntax, width: Int = 100) {
        self.syntax = syntax
        self.width = width
    }

    /// The help of the program.
    var program: String {
        var text = "\(syntax.summary)\n\nUsage: \(syntax.name) <command> [options]\n"
        text += section("Commands", syntax.commands.map { ($0.name, $0.summary) })
        text += section("Options of every command", syntax.leadingOptions.map(Self.row))
        text += section("Environment", Self.environment)
        text += section("Exit codes", Self.exitCodes)
        return text + "\nMore on a command: \(syntax.name) <command> --help\n"
    }

    /// The help of one command; that of the program if there is no such command.
    func command(_ name: String) -> String {
        guard let command = syntax.commands.first(where: { $0.name == name }) else { return program }
        var usage = "Usage: \(syntax.name) \(name)"
        for positional in command.positionals {
            usage += positional.count == .one ? " \(positional.placeholder)" : " [\(positional.placeholder)…]"
        }
        var text = "\(command.summary)\n\n\(usage) [options]\n"
        if !command.discussion.isEmpty {
            text += "\n" + wrapped(command.discussion, to: width).joined(separator: "\n") + "\n"
        }
        text += section("Arguments", command.positionals.map { ($0.placeholder, $0.help) })
        text += section("Options", command.options.map(Self.row))
        text += section("Options of every command", syntax.leadingOptions.map(Self.row))
        text += section("Examples", command.examples.map { ("\(syntax.name) \($0.arguments)", $0.comment) })
        return text + section("Exit codes", Self.exitCodes)
    }

    private static let environment = [
        ("CELERIAC_BROKER_URL", "The broker, unless --broker is given."),
        ("CELERIAC_RESULT_BACKEND", "The result backend, unless --result-backend is given."),
        ("NO_COLOR", "If set, log lines have no colours."),
    ]

    private static let exitCodes = ExitCode.allCases.map { (String($0.rawValue), $0.meaning) }

    private static func row(_ option: OptionDeclaration) -> (String, String) {
        let letter = option.letter.map { "-\($0), " } ?? "    "
        let value = option.placeholder.map { " \($0)" } ?? ""
        let fallback = option.defaultText.map { " Default: \($0)." } ?? ""
        return ("\(letter)--\(option.name)\(value)", option.help + fallback)
    }

    /// A heading and two columns; what is too long for the second goes on below it.
    private func section(_ title: String, _ rows: [(String, String)]) -> String {
        guard !rows.isEmpty else { return "" }
        let column = (rows.map(\.0.count).max() ?? 0) + 4
        var text = "\n\(title):\n"
        for (left, right) in rows {
            let lines = wrapped(right, to: max(30, width - column))
            let padding = String(repeating: " ", count: column - 2 - left.count)
            text += "  \(left)\(padding)\(lines.first ?? "")\n"
            for line in lines.dropFirst() { text += String(repeating: " ", count: column) + line + "\n" }
        }
        return text
    }

    private func wrapped(_ text: String, to width: Int) -> [String] {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, last.count + 1 + word.count <= width {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
