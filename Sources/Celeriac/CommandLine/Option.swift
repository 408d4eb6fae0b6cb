/// What parser and help need to know of an option or flag, whatever the type of its value.
struct OptionDeclaration: Sendable {
    let name: String
    let letter: Character?
    /// Stands for the value in help texts; `nil` for a flag, which takes none.
    let placeholder: String?
    let help: String
    var defaultText: String?
}

/// An option without a value: present or not.
struct Flag: Sendable {
    let declaration: OptionDeclaration

    init(_ name: String, letter: Character? = nil, help: String) {
        declaration = OptionDeclaration(name: name, letter: letter, placeholder: nil, help: help)
    }
}

/// An option with a value of some type.
struct Option<Value: Sendable>: Sendable {
    let declaration: OptionDeclaration
    /// The value of all the option's occurrences, in order; there is at least one.
    let read: @Sendable ([String]) throws(InvalidValue) -> Value
    /// The value when the option does not occur.
    let fallback: Value

    /// A text that is no value of the option's type.
    struct InvalidValue: Error {
        let text: String
        let expectation: String
    }

    /// An option with a default; the last occurrence counts.
    init(
        _ name: String,
        letter: Character? = nil,
        _ placeholder: String,
        default fallback: Value,
        help: String
    ) where Value: ArgumentValue {
        self.fallback = fallback
        declaration = OptionDeclaration(
            name: name,
            letter: letter,
            placeholder: placeholder,
            help: help,
            defaultText: fallback.argument
        )
        read = { texts throws(InvalidValue) in try Self.one(Value.self, texts) }
    }

    /// An option with a default and limits; the last occurrence counts.
    init(
        _ name: String,
        letter: Character? = nil,
        _ placeholder: String,
        default fallback: Value,
        in range: ClosedRange<Value>,
        help: String
    ) where Value: ArgumentValue & Comparable {
        self.fallback = fallback
        declaration = OptionDeclaration(
            name: name,
            letter: letter,
            placeholder: placeholder,
            help: help,
            defaultText: fallback.argument
        )
        read = { texts throws(InvalidValue) in try Self.one(Value.self, texts, in: range) }
    }

    /// An option that may be left out; the last occurrence counts.
    init<Wrapped: ArgumentValue>(
        _ name: String,
        letter: Character? = nil,
        _ placeholder: String,
        help: String
    ) where Value == Wrapped? {
        fallback = nil
        declaration = OptionDeclaration(name: name, letter: letter, placeholder: placeholder, help: help)
        read = { texts throws(InvalidValue) in try Self.one(Wrapped.self, texts) }
    }

    /// An option with limits that may be left out; the last occurrence counts.
    init<Wrapped: ArgumentValue & Comparable>(
        _ name: String,
        letter: Character? = nil,
        _ placeholder: String,
        in range: ClosedRange<Wrapped>,
        help: String
    ) where Value == Wrapped? {
        fallback = nil
        declaration = OptionDeclaration(name: name, letter: letter, placeholder: placeholder, help: help)
        read = { texts throws(InvalidValue) in try Self.one(Wrapped.self, texts, in: range) }
    }

    /// An option that may occur many times, each with one value or, with a separator, with several.
    init<Element: ArgumentValue>(
        _ name: String,
        letter: Character? = nil,
        _ placeholder: String,
        separator: Character? = nil,
        help: String
    ) where Value == [Element] {
        fallback = []
        declaration = OptionDeclaration(name: name, letter: letter, placeholder: placeholder, help: help)
        read = { texts throws(InvalidValue) in
            var elements: [Element] = []
            for text in texts {
                let parts = separator.map { text.split(separator: $0).map(String.init) } ?? [text]
                guard !parts.isEmpty else { throw InvalidValue(text: text, expectation: Element.expectation) }
                for part in parts { elements.append(try Self.one(Element.self, [part])) }
            }
            return elements
        }
    }

    private static func one<Single: ArgumentValue>(
        _ type: Single.Type,
        _ texts: [String]
    ) throws(InvalidValue) -> Single {
        let text = texts.last ?? ""
        guard let value = Single(argument: text) else {
            throw InvalidValue(text: text, expectation: Single.expectation)
        }
        return value
    }

    private static func one<Single: ArgumentValue & Comparable>(
        _ type: Single.Type,
        _ texts: [String],
        in range: ClosedRange<Single>
    ) throws(InvalidValue) -> Single {
        let value = try one(type, texts)
        guard range.contains(value) else {
            let limits = "from \(range.lowerBound.argument) to \(range.upperBound.argument)"
            throw InvalidValue(text: texts.last ?? "", expectation: "\(Single.expectation) \(limits)")
        }
        return value
    }
}

/// Arguments that are no options, by their place.
struct Positional: Sendable {
    enum Count: Sendable {
        case one
        case any
    }

    let placeholder: String
    let count: Count
    let help: String

    init(_ placeholder: String, _ count: Count = .one, help: String) {
        self.placeholder = placeholder
        self.count = count
        self.help = help
    }
}
