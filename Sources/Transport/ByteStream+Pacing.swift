internal import CShims

extension ByteStream {
    /// What a stream keeps for gathering its input.
    struct Pacing {
        var pacer: InputPacer
        var timer: TimerID?
    }

    /// Lets input wait for more while the peer sends without pause; see ``InputPacer``.
    package func gatherInput() {
        loop.preconditionOnLoop()
        guard state == .open, pacing == nil else { return }
        pacing = Pacing(pacer: InputPacer(now: .now))
    }

    /// Notes a read that brought octets.
    func didRead(_ count: Int) {
        readOctets += count
        guard pacing?.pacer.received(count, now: .now) == true else { return }
        applyThreshold()
    }

    private func applyThreshold() {
        guard state == .open, let pacing else { return }
        // Where the kernel refuses, or a Unix socket ignores it, input is read as it comes.
        _ = celeriac_set_receive_low_water(descriptor, Int32(pacing.pacer.threshold))
        if pacing.pacer.threshold > 1, pacing.timer == nil { watchPause() }
    }

    /// Reads what is there when the peer has paused: the kernel does not tell of less than the threshold.
    private func watchPause() {
        guard let pacer = pacing?.pacer else { return }
        pacing?.timer = loop.schedule(at: pacer.lastRead + InputPacer.patience) { [weak self] in
            guard let self, self.state == .open else { return }
            self.pacing?.timer = nil
            self.endPause()
        }
    }

    private func endPause() {
        guard let before = pacing?.pacer, before.threshold > 1 else { return }
        guard !isPaused else {
            // Nothing is wanted for now: what there is when reading goes on is read at once, and the flow measured anew.
            if pacing?.pacer.foundNothing() == true { applyThreshold() }
            return
        }
        // Else it was read meanwhile.
        if before.lastRead + InputPacer.patience <= .now {
            _ = readAvailable()
            guard state == .open else { return }
            if pacing?.pacer.lastRead == before.lastRead, pacing?.pacer.foundNothing() == true {
                return applyThreshold()
            }
        }
        if let threshold = pacing?.pacer.threshold, threshold > 1, pacing?.timer == nil { watchPause() }
    }
}
