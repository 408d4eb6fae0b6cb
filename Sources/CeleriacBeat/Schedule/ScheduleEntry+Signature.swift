public import CeleriacCore

extension ScheduleEntry {
    /// An entry that sends a call at a fixed distance; see ``IntervalTrigger``.
    ///
    /// - Parameter options: How the call is sent. Its id and the header `celery_beat_task` are set for each slot.
    public init<Output>(
        _ name: String,
        _ call: Signature<Output>,
        every interval: Duration,
        options: CallOptions = CallOptions(),
        misfire: MisfirePolicy = .once,
        misfireGrace: Duration? = nil
    ) {
        let emit = Self.sending(call, options)
        self.init(name, every: interval, misfire: misfire, misfireGrace: misfireGrace, emit: emit)
    }

    /// An entry that sends a call by the wall clock; see ``CrontabTrigger``.
    ///
    /// - Parameters:
    ///   - zone: The IANA name of a time zone; UTC if `nil`.
    ///   - options: How the call is sent. Its id and the header `celery_beat_task` are set for each slot.
    public init<Output>(
        _ name: String,
        _ call: Signature<Output>,
        cron text: String,
        in zone: String? = nil,
        options: CallOptions = CallOptions(),
        misfire: MisfirePolicy = .once,
        misfireGrace: Duration? = nil
    ) {
        let emit = Self.sending(call, options)
        self.init(name, cron: text, in: zone, misfire: misfire, misfireGrace: misfireGrace, emit: emit)
    }

    /// An entry that sends a call at the slots of a trigger.
    ///
    /// - Parameter options: How the call is sent. Its id and the header `celery_beat_task` are set for each slot.
    public init<Output>(
        _ name: String,
        _ call: Signature<Output>,
        _ trigger: Trigger,
        options: CallOptions = CallOptions(),
        misfire: MisfirePolicy = .once,
        misfireGrace: Duration? = nil
    ) {
        self.init(name, trigger, misfire: misfire, misfireGrace: misfireGrace, emit: Self.sending(call, options))
    }

    private static func sending<Output>(_ call: Signature<Output>, _ options: CallOptions) -> Emit {
        { slot, id in
            var options = options
            options.id = id
            options.headers["celery_beat_task"] = true
            try await call.apply(options)
        }
    }
}
