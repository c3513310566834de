import SeededNumbers

// Audits, and lies that come to light.
extension CoordinatorMachine {
    /// Draws whether the step that opens is audited, and where. A function of run and step.
    ///
    /// - Returns: whether an audit is to be leased.
    mutating func openAudit() -> Bool {
        // Once in a step: of what was sent before, no digest was taken.
        guard !isAuditDrawn else { return false }
        isAuditDrawn = true
        let ready = readyWorkers
        guard configuration.auditsPerMillion > 0, ready.count > 1 else { return false }
        var random = SplitMix64(seed: configuration.run ^ step &* 0x9E37_79B9_7F4A_7C15)
        func draw(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
        guard draw(1_000_000) < Int(configuration.auditsPerMillion) else { return false }
        let shard = draw(configuration.shards)
        guard let original = ready.first(where: { plan[$0]?.contains(shard) == true }) else { return false }
        let others = ready.filter { $0 != original }
        audit = Audit(
            shard: shard, auditor: sender(others[draw(others.count)]), generation: generation,
            values: ShardValues(chunks: folds.count))
        return true
    }

    func sender(_ worker: WorkerID) -> Sender {
        Sender(worker: worker, identity: Identity(members[worker]!.hello))
    }

    /// The auditor's lease follows its own share.
    mutating func leaseAudit() {
        guard let audit else { return }
        let resets = step % configuration.carryPeriod == 0
        members[audit.auditor.worker]!.session.enqueue(
            .lease(
                Lease(
                    generation: audit.generation, step: step, shards: [UInt32(audit.shard)],
                    carried: resets ? [] : [UInt32(audit.shard)], resetsCarry: resets, isAudit: true)))
    }

    /// Whether the digest of a message's payload is to be computed: it is part of an audit.
    package func wantsDigest(of message: Message) -> Bool {
        guard let audit, audit.isOpen else { return false }
        switch message {
        case .gradient(let part): return tree.shards(part.node) == audit.shard..<audit.shard + 1
        case .nodeResult(let result): return tree.shards(result.node) == audit.shard..<audit.shard + 1
        default: return false
        }
    }

    mutating func audited(_ report: AuditReport, by worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        guard let audit, audit.isOpen, audit.auditor.worker == worker, report.step == step,
            report.generation == audit.generation, Int(report.shard) == audit.shard
        else { return [.discard(worker, reason: "an audit that nobody waits for")] }
        guard report.answer.chunkDigests.count == folds.count else {
            return evict(worker, "sent an audit of another model", .protocolViolation, now: now)
        }
        self.audit!.report = report.answer
        return examineAudit() + commitIfComplete(now: now)
    }

    /// Compares, once the values that are in use and the auditor's are there. Where the auditor's count for nothing, the
    /// coordinator computes in its place, so that no audit that was drawn is left out.
    mutating func examineAudit() -> [CoordinatorAction] {
        guard let audit, audit.isOpen, dispute == nil, let answer = audit.values.answer else { return [] }
        let counts = members[audit.auditor.worker] != nil && audit.values.areIndependent(of: audit.auditor)
        if counts, audit.report == nil { return [] }
        if counts, audit.report == answer {
            self.audit!.isOpen = false
            return []
        }
        return disputeAudit(report: counts ? audit.report : nil)
    }

    /// Settles an audit that alone holds the step, after as long as the step took without it, and a second.
    mutating func boundAudit(now: UInt64) -> [CoordinatorAction] {
        guard let audit, audit.isOpen, dispute == nil, completeChunks == folds.count,
            accepted.count == configuration.shards
        else { return [] }
        guard let since = audit.awaitedSince else {
            self.audit!.awaitedSince = now
            return []
        }
        guard now > since + (since - min(since, stepOpened)) + 1_000_000_000 else { return [] }
        return disputeAudit(report: nil)
    }

    private mutating func disputeAudit(report: ShardAnswer?) -> [CoordinatorAction] {
        guard let audit else { return [] }
        return dispute(
            Dispute(
                step: step, shards: [audit.shard],
                kind: .audit(audit.values, auditor: audit.auditor, report: report)))
    }

    mutating func dispute(_ dispute: Dispute) -> [CoordinatorAction] {
        self.dispute = dispute
        return [.settle(dispute)]
    }

    /// The coordinator has computed the shards in dispute itself.
    ///
    /// - Parameters:
    ///   - answer: of the one shard of an audit.
    ///   - isFinite: whether all that it computed is.
    package mutating func settled(_ settled: Dispute, answer: ShardAnswer?, isFinite: Bool, now: UInt64)
        -> [CoordinatorAction]
    {
        guard dispute == settled else { return [] }
        dispute = nil
        let place = "step \(step + 1)"
        let liars: Set<Sender>
        switch settled.kind {
        case .notFinite(let sender):
            guard isFinite else {
                return [
                    .fail(
                        reason: "the gradient or loss of \(place) is not finite: the last good step is kept; begin "
                            + "a new run from it with --initialize-from, and a lower --learning-rate or --clip",
                        savesState: true)
                ]
            }
            liars = [sender]
        case .audit(let values, let auditor, let report):
            guard let answer else { preconditionFailure("the one shard of an audit has an answer") }
            let wrong = values.liars(answer)
            guard report == nil || report == answer || wrong.isEmpty else {
                return [
                    .fail(
                        reason: "two workers and this coordinator computed shard \(settled.shards[0]) of \(place) "
                            + "and came to three results: check memory, processor and build of this host first; the "
                            + "checkpoints so far stand", savesState: false)
                ]
            }
            liars = report == nil || report == answer ? wrong : [auditor]
            if liars.isEmpty {
                audit?.isOpen = false
                leaseWhatIsFree(now: now)
                return commitIfComplete(now: now) + pump(now: now)
            }
        }
        // Whatever else a liar has sent in this step is in doubt too.
        var actions = restartStep()
        for liar in liars.sorted(by: { $0.worker < $1.worker }) {
            actions += ban(liar, "its gradient of \(place) is wrong: check its memory, processor and build", now: now)
        }
        leaseWhatIsFree(now: now)
        return actions + pump(now: now)
    }
}
