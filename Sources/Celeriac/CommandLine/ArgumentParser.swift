/// Takes a command line apart by a syntax: which command, which options, which arguments.
///
/// Options may stand anywhere, as `--name value`, `--name=value`, `-n value` or `-nvalue`; flags of one letter may be
/// joined; `--` ends the options. A negative number is an argument, not an option.
struct ArgumentParser {
    enum Invocation: Equatable {
        /// The help of the program or of one command.
        case help(command: String?)
        case version
        case command(String, ParsedArguments)
        /// No command; the values of common options all the same.
        case none(ParsedArguments)
    }

    private let syntax: ProgramSyntax
    private var rest: ArraySlice<String>

    static func parse(_ arguments: [String], by syntax: ProgramSyntax) throws(UsageError) -> Invocation {
        var parser = ArgumentParser(syntax: syntax, rest: arguments[...])
        return try parser.invocation()
    }

    private init(syntax: ProgramSyntax, rest: ArraySlice<String>) {
        self.syntax = syntax
        self.rest = rest
    }

    private mutating func invocation() throws(UsageError) -> Invocation {
        var leading = ParsedArguments(path: syntax.name)
        while let token = rest.first, Self.isOption(token) {
            rest.removeFirst()
            try takeOption(token, among: syntax.leadingOptions, into: &leading)
        }
        if leading.has(ProgramSyntax.help) { return .help(command: nil) }
        if leading.has(ProgramSyntax.version) { return .version }
        guard let name = rest.popFirst() else { return .none(leading) }
        if name == "help" { return try help() }
        guard let command = syntax.commands.first(where: { $0.name == name }) else { throw unknown(name) }

        var arguments = ParsedArguments(path: "\(syntax.name) \(name)", values: leading.values)
        let options = syntax.options(of: command)
        var optionsEnded = false
        while let token = rest.popFirst() {
            if !optionsEnded, token == "--" {
                optionsEnded = true
            } else if !optionsEnded, Self.isOption(token) {
                try takeOption(token, among: options, into: &arguments)
            } else {
                arguments.positionals.append(token)
            }
        }
        if arguments.has(ProgramSyntax.help) { return .help(command: name) }
        if arguments.has(ProgramSyntax.version) { return .version }
        try check(arguments, by: command)
        return .command(name, arguments)
    }

    /// `help` and `help COMMAND`, for those who type it that way.
    private mutating func help() throws(UsageError) -> Invocation {
        guard let topic = rest.popFirst() else { return .help(command: nil) }
        guard syntax.commands.contains(where: { $0.name == topic }) else { throw unknown(topic) }
        return .help(command: topic)
    }

    private func unknown(_ name: String) -> UsageError {
        let names = syntax.commands.map(\.name)
        return UsageError(syntax.name, .unknownCommand(name, suggestion: Spelling.suggestion(for: name, among: names)))
    }

    private func check(_ arguments: ParsedArguments, by command: CommandSyntax) throws(UsageError) {
        let required = command.positionals.filter { $0.count == .one }
        if arguments.positionals.count < required.count {
            throw UsageError(arguments.path, .missingArgument(required[arguments.positionals.count].placeholder))
        }
        let takesMore = command.positionals.contains { $0.count == .any }
        if !takesMore, arguments.positionals.count > required.count {
            throw UsageError(arguments.path, .unexpectedArgument(arguments.positionals[required.count]))
        }
    }

    /// A lone `-` and whatever looks like a negative number are arguments.
    private static func isOption(_ token: String) -> Bool {
        guard token.hasPrefix("-"), let second = token.dropFirst().first else { return false }
        return !(second.isNumber || second == ".")
    }

    private mutating func takeOption(
        _ token: String,
        among options: [OptionDeclaration],
        into arguments: inout ParsedArguments
    ) throws(UsageError) {
        if token.hasPrefix("--") {
            try takeLongOption(token, among: options, into: &arguments)
        } else {
            try takeLetters(token, among: options, into: &arguments)
        }
    }

    private mutating func takeLongOption(
        _ token: String,
        among options: [OptionDeclaration],
        into arguments: inout ParsedArguments
    ) throws(UsageError) {
        let body = token.dropFirst(2)
        let name = String(body.prefix { $0 != "=" })
        let attached = name.count < body.count ? String(body.dropFirst(name.count + 1)) : nil
        guard let option = options.first(where: { $0.name == name }) else {
            let suggestion = Spelling.suggestion(for: name, among: options.map(\.name)).map { "--\($0)" }
            throw UsageError(arguments.path, .unknownOption("--\(name)", suggestion: suggestion))
        }
        guard option.placeholder != nil else {
            guard attached == nil else { throw UsageError(arguments.path, .unexpectedValue(option: name)) }
            arguments.values[name, default: []].append("")
            return
        }
        let value = if let attached { attached } else { try nextValue(of: option, arguments.path) }
        arguments.values[name, default: []].append(value)
    }

    private mutating func takeLetters(
        _ token: String,
        among options: [OptionDeclaration],
        into arguments: inout ParsedArguments
    ) throws(UsageError) {
        var letters = token.dropFirst()
        while let letter = letters.popFirst() {
            guard let option = options.first(where: { $0.letter == letter }) else {
                throw UsageError(arguments.path, .unknownOption("-\(letter)", suggestion: nil))
            }
            guard option.placeholder != nil else {
                arguments.values[option.name, default: []].append("")
                continue
            }
            // What follows the letter is its value: -c4, -c=4, or the next argument.
            var attached = letters
            if attached.first == "=" { attached.removeFirst() }
            let value = letters.isEmpty ? try nextValue(of: option, arguments.path) : String(attached)
            arguments.values[option.name, default: []].append(value)
            return
        }
    }

    /// The next argument, unless it looks like another option: then the value was forgotten, and can be given with `=`.
    private mutating func nextValue(of option: OptionDeclaration, _ path: String) throws(UsageError) -> String {
        guard let value = rest.first, !value.hasPrefix("--") else {
            let placeholder = option.placeholder ?? "VALUE"
            throw UsageError(path, .missingValue(option: option.name, placeholder: placeholder))
        }
        rest.removeFirst()
        return value
    }
}
