/// A task as the worker sees it: a name, options, and code that takes and gives JSON.
package struct TaskRegistration: Sendable {
    package let name: TaskName
    package let options: TaskOptions
    /// The types of parameters and result, for people: `(Int, Int) -> Int`.
    package let type: String
    /// The names of its positional parameters, where it has them.
    package let parameters: [String]
    /// Runs the task on a body of protocol 2 and returns its value as JSON.
    ///
    /// Throws ``CallDefect`` when the body does not fit, before any of the task's own code has run.
    package let perform: @Sendable (TaskContext, [UInt8]) async throws -> [UInt8]

    package init(
        name: TaskName,
        options: TaskOptions,
        type: String,
        parameters: [String] = [],
        perform: @escaping @Sendable (TaskContext, [UInt8]) async throws -> [UInt8]
    ) {
        self.name = name
        self.options = options
        self.type = type
        self.parameters = parameters
        self.perform = perform
    }

    /// Encodes what a task returned.
    ///
    /// Throws ``ResultDefect``, which is no reason to run the task again.
    static func encode<Output: Encodable>(_ value: Output) throws -> [UInt8] {
        do {
            return try PayloadCoding.encode(value)
        } catch {
            throw ResultDefect(description: error.message)
        }
    }

    /// Decodes a body, turning what Foundation says of unreadable JSON into a ``CallDefect``.
    static func decode<Body: Decodable>(_ type: Body.Type, from body: [UInt8], parameters: [String]) throws -> Body {
        do {
            return try PayloadCoding.decode(type, from: body, parameters: parameters)
        } catch let defect as CallDefect {
            throw defect
        } catch {
            throw CallDefect.malformed("the body cannot be read as JSON: \(error.brief)")
        }
    }
}

/// A task returned what has no JSON form.
package struct ResultDefect: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

/// The result of a task that returns nothing; `null` on the wire.
public struct NoValue: Codable, Sendable, Hashable {
    /// Nothing.
    public init() {}

    /// Accepts any value.
    public init(from decoder: any Decoder) throws {}

    /// Writes `null`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encodeNil()
    }
}
