/// One run of a call that asks whether it may begin under a rate.
public struct RateRequest: Sendable, Hashable {
    /// Names the limit.
    public var key: String
    /// How often.
    public var rate: Rate
    /// What is counted.
    public var algorithm: RateLimit.Algorithm
    /// How many may begin at once after a pause; at least 1.
    public var burst: Double
    /// How much of the rate the run takes; not negative.
    public var cost: Double
    /// Whose place in line it is; the same over all deliveries of one message.
    public var owner: String
    /// Tells one run of the owner from another: a request repeated after a lost reply has the same and is counted once.
    public var run: String
    /// The place in line that an earlier answer gave.
    public var place: String?
    /// Take no place that comes later than this.
    public var patience: Duration?

    /// A request.
    public init(
        key: String,
        rate: Rate,
        algorithm: RateLimit.Algorithm = .tokenBucket,
        burst: Double = 1,
        cost: Double = 1,
        owner: String,
        run: String,
        place: String? = nil,
        patience: Duration? = nil
    ) {
        self.key = key
        self.rate = rate
        self.algorithm = algorithm
        self.burst = max(1, burst)
        self.cost = max(0, cost)
        self.owner = owner
        self.run = run
        self.place = place
        self.patience = patience
    }
}

/// Whether a run may begin under a rate.
public enum RateDecision: Hashable, Sendable {
    /// It may begin now, and has been counted.
    case granted
    /// Its turn comes after this time: ask again then, with the place; `nil` if none was taken for want of patience.
    case wait(Duration, place: String?)
}

/// Whether a run has a place among those that may run at once.
public enum PlaceDecision: Hashable, Sendable {
    /// It has one, for a lease from now.
    case granted
    /// All are taken. Who asks again after this time, give or take a half, does so neither too late nor too often, however
    /// many wait.
    case full(askAgain: Duration)
}

/// Counts what runs, over all workers: the seam behind which Redis or memory keeps limits.
///
/// Each method is one step on the store's own clock, and does no harm when it is repeated: a driver repeats what may have
/// been lost on its way. After an error the caller knows nothing, and must not run as if it had been granted.
public protocol LimitStore: Sendable {
    /// Connects now, so that a wrong address or password shows before work begins.
    func open(within timeout: Duration) async throws(CeleriacError)

    /// Counts a run that may begin now, or gives it a place in line.
    ///
    /// Those who were never in line queue behind those who are; who comes back with a place is served when its turn has
    /// come, however late, as soon as the rate allows. A place that is never claimed is lost to the others for its time only.
    func take(_ request: RateRequest, within timeout: Duration) async throws(CeleriacError) -> RateDecision

    /// Lets nothing begin under a key for some time, from now, because something outside has said so.
    ///
    /// - Returns: A new place for the caller, before all who have not begun yet.
    func pause(_ request: RateRequest, for duration: Duration, within timeout: Duration)
        async throws(CeleriacError) -> RateDecision

    /// Takes one of `count` places, or renews the owner's own.
    ///
    /// - Parameters:
    ///   - owner: One run of a call; no other uses the same.
    ///   - lease: After this time without renewal the place is free again.
    func acquire(_ key: String, owner: String, count: Int, lease: Duration, within timeout: Duration)
        async throws(CeleriacError) -> PlaceDecision

    /// Frees the owner's place; anybody else's stays.
    ///
    /// - Returns: Whether the owner had one.
    @discardableResult
    func release(_ key: String, owner: String, within timeout: Duration) async throws(CeleriacError) -> Bool
}
