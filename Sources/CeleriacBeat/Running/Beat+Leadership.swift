internal import CeleriacCore

extension Beat {
    /// Takes the leadership and renews it, or waits for it, until cancelled.
    func keepAskingForLeadership() async {
        await withDiscardingTaskGroup { group in
            var generation = 0
            while !Task.isCancelled {
                generation += 1
                let asked = generation
                // Counted from before the call, on a clock that does not jump: the store's lease ends no earlier.
                group.addTask { [time, mailbox, lease] in
                    guard (try? await time.sleep(for: lease * 4 / 5)) != nil else { return }
                    mailbox.post(.leaseEnds(generation: asked))
                }
                let outcome = await ask()
                mailbox.post(.lead(generation: asked, outcome))
                let leads = (try? outcome.get()) ?? false
                guard (try? await time.sleep(for: leads ? lease / 3 : lease / 15)) != nil else { return }
            }
        }
    }

    private func ask() async -> Result<Bool, CeleriacError> {
        do {
            let lease = lease
            return .success(try await limited(to: lease / 3) { try await $0.lead($1, as: $2, lease: lease) })
        } catch let error as CeleriacError {
            return .failure(error)
        } catch {
            return .failure(CeleriacError(.cancelled, "\(error)"))
        }
    }
}
