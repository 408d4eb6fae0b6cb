public import FoundationEssentials

/// An application's settings.
public struct Configuration: Sendable {
    /// Where the broker is: `amqp://user:password@host:port/vhost`, or `memory://` for this process alone.
    public var brokerURL: ServerURL
    /// Where results, locks, limits and the state of beat are kept: `redis://host:port/database`, or `memory://`.
    public var resultBackendURL: ServerURL
    /// The queue of tasks that name none.
    public var defaultQueue: QueueName
    /// How queues are declared that are not plain durable classic ones.
    public var queues: [QueueDeclaration]
    /// How long results are kept.
    public var resultTTL: Duration
    /// Whether stored results are compressed.
    public var resultCompression: ResultCompression
    /// Whether results tell of their calls, too: name, arguments, worker, retries and queue; ``TaskRecord/call``.
    public var extendsResults: Bool
    /// Whether sending a call first records it as ``TaskState/queued``.
    ///
    /// ``TaskHandle/state()`` then tells a call that waits from an id that nobody knows. Costs a way to the result backend
    /// and a write for each call; off by default.
    public var tracksQueued: Bool
    /// Whether and when failed tasks run again, where a task does not say.
    public var retry: RetryPolicy
    /// How long sending a call is tried, reconnecting included.
    public var publishTimeout: Duration
    /// The largest message body that is sent or run, in octets.
    public var maximumBodySize: Int
    /// The largest result that is stored, in octets of JSON; a larger one makes its task a failure, which is not retried.
    public var maximumResultSize: Int
    /// Where log lines go.
    public var logger: TaskLogger
    /// Tells the time.
    public var time: any TimeSource

    /// Settings; everything in memory unless said otherwise.
    public init(
        brokerURL: ServerURL = "memory://",
        resultBackendURL: ServerURL = "memory://",
        defaultQueue: QueueName = .celery,
        queues: [QueueDeclaration] = [],
        resultTTL: Duration = .seconds(86_400),
        resultCompression: ResultCompression = .none,
        extendsResults: Bool = false,
        tracksQueued: Bool = false,
        retry: RetryPolicy = .none,
        publishTimeout: Duration = .seconds(30),
        maximumBodySize: Int = 16 << 20,
        maximumResultSize: Int = 16 << 20,
        logger: TaskLogger = .silent,
        time: any TimeSource = SystemTimeSource()
    ) {
        self.brokerURL = brokerURL
        self.resultBackendURL = resultBackendURL
        self.defaultQueue = defaultQueue
        self.queues = queues
        self.resultTTL = resultTTL
        self.resultCompression = resultCompression
        self.extendsResults = extendsResults
        self.tracksQueued = tracksQueued
        self.retry = retry
        self.publishTimeout = publishTimeout
        self.maximumBodySize = maximumBodySize
        self.maximumResultSize = maximumResultSize
        self.logger = logger
        self.time = time
    }

    /// The default settings with the URLs of `CELERIAC_BROKER_URL` and `CELERIAC_RESULT_BACKEND`, where set.
    public static func fromEnvironment(
        _ environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> Configuration {
        var configuration = Configuration()
        if let url = environment["CELERIAC_BROKER_URL"], !url.isEmpty { configuration.brokerURL = ServerURL(url) }
        if let url = environment["CELERIAC_RESULT_BACKEND"], !url.isEmpty {
            configuration.resultBackendURL = ServerURL(url)
        }
        return configuration
    }

    /// How a queue is declared.
    package func declaration(of queue: QueueName) -> QueueDeclaration {
        queues.first { $0.name == queue } ?? QueueDeclaration(queue)
    }
}
