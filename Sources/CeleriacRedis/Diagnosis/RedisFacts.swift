/// What a Redis server tells of itself, as far as it tells; `nil` is unknown.
struct RedisFacts: Sendable, Equatable {
    /// The fastest of a few ways there and back.
    var roundTrip: Duration = .zero
    /// How far the server's clock is ahead of ours.
    var clockLead: Duration?
    /// How wrong that may be: half the way there and back.
    var clockUncertainty: Duration = .zero
    /// Whether the server was found by sentinels.
    var isBehindSentinels = false
    /// The commands that the server's ACL does not let us use.
    var refused: [String] = []

    // What INFO tells.
    var version: String?
    var usedMemory: Int?
    var maximumMemory: Int?
    var evictionPolicy: String?
    var isReplica: Bool?
    var isReadOnlyReplica = false
    var replicaCount = 0
    var appendsToFile: Bool?
    var hasFailedAppend = false
    var hasFailedSnapshot = false

    // What only CONFIG GET tells.
    var takesSnapshots: Bool?
    var stopsWritesAfterFailedSnapshot: Bool?
    var minimumReplicas: Int?

    init() {}

    /// Reads the text of `INFO`; fields that a version does not have stay unknown.
    mutating func read(info text: String) {
        var fields: [Substring: Substring] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = line[line.index(after: colon)...]
        }
        version = fields["redis_version"].map(String.init)
        usedMemory = fields["used_memory"].flatMap { Int($0) }
        maximumMemory = fields["maxmemory"].flatMap { Int($0) }
        evictionPolicy = fields["maxmemory_policy"].map(String.init)
        isReplica = fields["role"].map { $0 == "slave" }
        isReadOnlyReplica = fields["slave_read_only"] == "1"
        replicaCount = fields["connected_slaves"].flatMap { Int($0) } ?? 0
        appendsToFile = fields["aof_enabled"].map { $0 == "1" }
        hasFailedAppend = fields["aof_last_write_status"].map { $0 != "ok" } ?? false
        hasFailedSnapshot = fields["rdb_last_bgsave_status"].map { $0 != "ok" } ?? false
    }

    /// Takes over a setting.
    mutating func read(setting name: String, _ value: String) {
        switch name {
        case "save": takesSnapshots = !value.isEmpty
        case "stop-writes-on-bgsave-error": stopsWritesAfterFailedSnapshot = value == "yes"
        case "min-replicas-to-write": minimumReplicas = Int(value)
        default: break
        }
    }

    /// The settings that ``read(setting:_:)`` knows.
    static let settings = ["save", "stop-writes-on-bgsave-error", "min-replicas-to-write"]
}
