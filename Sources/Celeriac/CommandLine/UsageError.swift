/// What is wrong with a command line.
struct UsageError: Error, Equatable, CustomStringConvertible {
    enum Problem: Equatable {
        case missingCommand
        case unknownCommand(String, suggestion: String?)
        case unknownOption(String, suggestion: String?)
        case missingValue(option: String, placeholder: String)
        case unexpectedValue(option: String)
        case invalidValue(option: String, text: String, expectation: String)
        case missingArgument(String)
        case invalidArgument(String, text: String, expectation: String)
        case unexpectedArgument(String)
        case needless(option: String, without: String)
    }

    /// The program and, if it is known, the command: where `--help` tells more.
    let path: String
    let problem: Problem

    init(_ path: String, _ problem: Problem) {
        self.path = path
        self.problem = problem
    }

    /// Two lines: the problem, and where to read on.
    var description: String { "\(path): \(Redaction.redacted(text))\nTry: \(path) --help" }

    private var text: String {
        switch problem {
        case .missingCommand: "a command is missing"
        case .unknownCommand(let name, let suggestion): "no command \"\(name)\"" + Self.hint(suggestion)
        case .unknownOption(let name, let suggestion): "no option \(name)" + Self.hint(suggestion)
        case .missingValue(let option, let placeholder): "--\(option) needs a value: --\(option) \(placeholder)"
        case .unexpectedValue(let option): "--\(option) takes no value"
        case .invalidValue(let option, let text, let expectation): "--\(option) takes \(expectation), not \"\(text)\""
        case .missingArgument(let name): "\(name) is missing"
        case .invalidArgument(let name, let text, let expectation): "\(name) is \(expectation), not \"\(text)\""
        case .unexpectedArgument(let text): "unexpected argument \"\(text)\""
        case .needless(let option, let other): "--\(option) means nothing without --\(other)"
        }
    }

    private static func hint(_ suggestion: String?) -> String { suggestion.map { "; did you mean \($0)?" } ?? "" }
}
