package import CeleriacCore
package import Redis

extension RedisStores {
    /// What storing a result sends, for programs that measure it apart from the framework: two keys, then the arguments.
    package static func storing(_ record: TaskRecord, ttl: Duration) -> RedisArguments {
        RedisResultBackend.storing(record, as: record.document, ttl: ttl)
    }

    /// The script that is given them.
    package static var storeScript: RedisScript { RedisResultBackend.storeScript }
}
