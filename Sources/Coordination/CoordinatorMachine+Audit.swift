/// A shard that two workers compute in the open step, to see that they come to the same bits.
struct Audit: Hashable, Sendable {
    let shard: Int
    /// Whose gradient is used.
    let original: WorkerID
    let auditor: WorkerID
    let generation: UInt32
    var chunkDigests: [UInt64?]
    var lossBits: UInt64?
    var carryDigest: UInt64?
    var report: ShardAnswer?
    /// When all but the audit was there.
    var awaitedSince: UInt64?

    /// What the original has sent, once it is complete.
    var originalAnswer: ShardAnswer? {
        guard let lossBits, let carryDigest, chunkDigests.allSatisfy({ $0 != nil }) else { return nil }
        return ShardAnswer(lossBits: lossBits, carryDigest: carryDigest, chunkDigests: chunkDigests.map { $0! })
    }
}

/// A doubt that the coordinator settles by computing the shards itself.
package struct Dispute: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// A worker sent an infinity or a NaN: its own, or the model's?
        case notFinite
        /// Two workers differ.
        case audit(auditor: WorkerID, original: ShardAnswer, report: ShardAnswer)
    }
    package let step: UInt64
    package let shards: [Int]
    /// The worker whose values are in use.
    package let accused: WorkerID
    package let kind: Kind

    func concerns(_ worker: WorkerID) -> Bool {
        if case .audit(worker, _, _) = kind { return true }
        return accused == worker
    }
}

// Audits, and lies that come to light.
extension CoordinatorMachine {
    /// Draws whether the step that opens is audited, and where. A function of run and step.
    mutating func openAudit() {
        audit = nil
        let ready = readyWorkers
        guard configuration.auditsPerMillion > 0, ready.count > 1 else { return }
        var random = configuration.run ^ step &* 0x9E37_79B9_7F4A_7C15
        func draw(_ bound: Int) -> Int {
            // SplitMix64.
            random &+= 0x9E37_79B9_7F4A_7C15
            var z = random
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            return Int((z ^ z >> 31) % UInt64(bound))
        }
        guard draw(1_000_000) < Int(configuration.auditsPerMillion) else { return }
        let shard = draw(configuration.shards)
        guard let original = ready.first(where: { plan[$0]?.contains(shard) == true }) else { return }
        let others = ready.filter { $0 != original }
        audit = Audit(
            shard: shard, original: original, auditor: others[draw(others.count)], generation: generation,
            chunkDigests: Array(repeating: nil, count: folds.count))
    }

    /// The auditor's lease follows its own share.
    mutating func leaseAudit() {
        guard let audit else { return }
        let resets = step % configuration.carryPeriod == 0
        members[audit.auditor]!.session.enqueue(
            .lease(
                Lease(
                    generation: audit.generation, step: step, shards: [UInt32(audit.shard)],
                    carried: resets ? [] : [UInt32(audit.shard)], resetsCarry: resets, isAudit: true)))
    }

    /// Whether the digest of a message's payload is to be computed: it is part of an audit.
    package func wantsDigest(of message: Message, from worker: WorkerID) -> Bool {
        guard let audit, audit.original == worker else { return false }
        switch message {
        case .gradient(let part): return tree.shards(part.node) == audit.shard..<audit.shard + 1
        case .shardResult(let result): return Int(result.shard) == audit.shard
        default: return false
        }
    }

    mutating func audited(_ report: AuditReport, by worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        guard let audit, audit.auditor == worker, report.step == step, report.generation == audit.generation,
            Int(report.shard) == audit.shard
        else { return [.discard(worker, reason: "an audit that nobody waits for")] }
        guard report.answer.chunkDigests.count == folds.count else {
            return evict(worker, "sent an audit of another model", .protocolViolation, now: now)
        }
        self.audit!.report = report.answer
        return compareAudit() + commitIfComplete(now: now)
    }

    mutating func compareAudit() -> [CoordinatorAction] {
        guard let audit, let report = audit.report, let answer = audit.originalAnswer else { return [] }
        self.audit = nil
        if report == answer { return [] }
        return dispute(
            Dispute(
                step: step, shards: [audit.shard], accused: audit.original,
                kind: .audit(auditor: audit.auditor, original: answer, report: report)))
    }

    /// Gives an audit up that alone holds the step, after as long as the step took without it, and a second.
    mutating func boundAudit(now: UInt64) -> [CoordinatorAction] {
        guard let audit, completeChunks == folds.count, accepted.count == configuration.shards else { return [] }
        guard let since = audit.awaitedSince else {
            self.audit!.awaitedSince = now
            return []
        }
        guard now > since + (since - min(since, stepOpened)) + 1_000_000_000 else { return [] }
        let name = members[audit.auditor]?.hello.name ?? "a worker"
        self.audit = nil
        return [.note("the audit of shard \(audit.shard) in step \(step + 1) was given up: \(name) is late with it")]
            + commitIfComplete(now: now)
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
        let liar: WorkerID
        switch settled.kind {
        case .notFinite:
            guard isFinite else {
                return [
                    .fail(
                        reason: "the gradient or loss of \(place) is not finite: the last good step is kept; resume "
                            + "with a lower --learning-rate or --clip", savesState: true)
                ]
            }
            liar = settled.accused
        case .audit(let auditor, let original, let report):
            switch answer {
            case original: liar = auditor
            case report: liar = settled.accused
            default:
                return [
                    .fail(
                        reason: "two workers and this coordinator computed shard \(settled.shards[0]) of \(place) "
                            + "and came to three results: check memory, processor and build of this host first; the "
                            + "checkpoints so far stand", savesState: false)
                ]
            }
        }
        // Whatever else the liar has sent in this step is in doubt too.
        return restartStep()
            + ban(liar, "its gradient of \(place) is wrong: check its memory, processor and build", now: now)
    }
}
