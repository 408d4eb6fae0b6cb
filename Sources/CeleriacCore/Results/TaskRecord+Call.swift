extension TaskRecord {
    /// What a record tells of its call, where results are extended: by ``Configuration/extendsResults``, or Celery's
    /// `result_extended`.
    public struct Call: Hashable, Sendable {
        /// The task's name.
        public var name: TaskName
        /// The positional arguments.
        public var arguments: [JSONValue]
        /// The keyword arguments.
        public var keywords: [String: JSONValue]
        /// The node name of the worker that ran it.
        public var worker: String?
        /// How often it had been retried.
        public var retries: Int
        /// The routing key it came with: the queue's name, with the default exchange.
        public var queue: String?

        /// What there is to tell of a call.
        package init(
            name: TaskName,
            arguments: [JSONValue],
            keywords: [String: JSONValue],
            worker: String?,
            retries: Int,
            queue: String?
        ) {
            self.name = name
            self.arguments = arguments
            self.keywords = keywords
            self.worker = worker
            self.retries = retries
            self.queue = queue
        }

        /// The call of a message; arguments that cannot be read are left out.
        package init(_ message: TaskMessage, worker: String, queue: String) {
            let body = try? PayloadCoding.decode([JSONValue].self, from: message.body)
            self.init(
                name: message.task,
                arguments: body?.first?.array ?? [],
                keywords: body.flatMap { $0.count > 1 ? $0[1].object : nil } ?? [:],
                worker: worker,
                retries: message.retries,
                queue: queue
            )
        }

        func write(to document: inout JSONObjectWriter) {
            document.add("name", name.rawValue)
            document.add("args", json: JSONText.value(.array(arguments)))
            document.add("kwargs", json: JSONText.value(.object(keywords)))
            document.add("worker", worker)
            document.add("retries", json: Array(String(retries).utf8))
            document.add("queue", queue)
        }
    }

    /// What the record tells of its call; `nil` unless results are extended.
    ///
    /// Read from the document with each use.
    public var call: Call? {
        guard let fields = try? PayloadCoding.decode(CallFields.self, from: document), let name = fields.name else {
            return nil
        }
        return Call(
            name: TaskName(name),
            arguments: fields.args?.array ?? [],
            keywords: fields.kwargs?.object ?? [:],
            worker: fields.worker,
            retries: fields.retries ?? 0,
            queue: fields.queue
        )
    }

    private struct CallFields: Decodable {
        let name: String?
        let args: JSONValue?
        let kwargs: JSONValue?
        let worker: String?
        let retries: Int?
        let queue: String?
    }
}
