/// The arguments of one command, taken apart but not yet read as values.
struct ParsedArguments: Sendable, Equatable {
    /// The program and the command, for error messages.
    let path: String
    /// What was given to each option, in order; for a flag, an empty text for each occurrence.
    var values: [String: [String]] = [:]
    var positionals: [String] = []

    func has(_ flag: Flag) -> Bool { values[flag.declaration.name] != nil }

    /// The value of an option, or its default.
    ///
    /// - Throws: ``UsageError`` if what was given is no such value.
    func value<Value>(of option: Option<Value>) throws(UsageError) -> Value {
        let name = option.declaration.name
        guard let texts = values[name] else { return option.fallback }
        do {
            return try option.read(texts)
        } catch {
            throw UsageError(path, .invalidValue(option: name, text: error.text, expectation: error.expectation))
        }
    }

    /// The first positional argument, which the parser has made sure is there.
    func first<Value: ArgumentValue>(as type: Value.Type, named name: String) throws(UsageError) -> Value {
        guard let text = positionals.first else { throw UsageError(path, .missingArgument(name)) }
        guard let value = Value(argument: text) else {
            throw UsageError(path, .invalidArgument(name, text: text, expectation: Value.expectation))
        }
        return value
    }
}
