/// What a subcommand accepts, and how its help describes it.
struct CommandSyntax: Sendable {
    /// A line one could type after the program's name.
    struct Example: Sendable {
        let arguments: String
        let comment: String

        init(_ arguments: String, _ comment: String) {
            self.arguments = arguments
            self.comment = comment
        }
    }

    let name: String
    /// One sentence, for the list of commands.
    let summary: String
    /// More, for the command's own help.
    var discussion = ""
    var positionals: [Positional] = []
    var options: [OptionDeclaration] = []
    var examples: [Example] = []
}

/// The syntax of a program with subcommands.
struct ProgramSyntax: Sendable {
    let name: String
    let summary: String
    let commands: [CommandSyntax]
    /// Options of every command, also taken before the command's name.
    let commonOptions: [OptionDeclaration]

    static let help = Flag("help", letter: "h", help: "Show this help.")
    static let version = Flag("version", help: "Show the version.")

    /// What stands in front of the command, or in place of it.
    var leadingOptions: [OptionDeclaration] {
        commonOptions + [Self.help.declaration, Self.version.declaration]
    }

    func options(of command: CommandSyntax) -> [OptionDeclaration] { command.options + leadingOptions }
}
