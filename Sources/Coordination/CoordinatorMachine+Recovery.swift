/// What a worker's replica is, as far as can be compared from afar.
package struct OfferedState: Hashable, Sendable {
    package let step: UInt64
    package let digest: UInt64
    package let stateDigest: UInt64

    package init(_ offer: Offer) { (step, digest, stateDigest) = (offer.step, offer.digest, offer.stateDigest) }
}

/// A coordinator that was started again looks for state that is newer than its checkpoint, in the workers' replicas.
///
/// Newest first, a state is taken when it is whole: some worker holds the replica, its digest is the one in
/// `metrics.jsonl` (or, where no line was written, that of the most workers), every shard's carry is with somebody, and
/// the lines that are missing are on record. At once where nothing newer can be there; else when the wait is over.
/// Beyond an evaluation that is to be made nothing is taken (``EvaluationSearch``).
package struct Recovery: Hashable, Sendable {
    struct Choice: Hashable, Sendable {
        let state: OfferedState
        let donor: WorkerID
        var partsReceived = 0
        /// Shards whose carry is still to come, by worker.
        var owed: [WorkerID: Set<Int>]
        var awaitsHistory = true
        let deadline: UInt64
    }

    /// Digests of the parameters after each step that is on record.
    let knownDigests: [UInt64: UInt64]
    /// The newest step on record.
    let newestKnown: UInt64
    /// The newest step that may be taken over.
    let ceiling: UInt64
    let wait: UInt64
    var began: UInt64?
    var choice: Choice?
    /// Who was asked for an earlier choice, which came to nothing: what they sent for it may still be on the way.
    var askedBefore: Set<WorkerID> = []

    /// - Parameters:
    ///   - knownDigests: of steps beyond the checkpoint.
    ///   - ceiling: the step of the first evaluation that is to be made; the last of all where there is none.
    ///   - wait: nanoseconds to wait for workers with something newer; more than the 3 s after which a
    ///     worker greets again.
    package init(
        knownDigests: [UInt64: UInt64], checkpoint: UInt64, ceiling: UInt64 = .max, wait: UInt64 = 4_000_000_000
    ) {
        self.knownDigests = knownDigests
        self.ceiling = ceiling
        newestKnown = max(checkpoint, knownDigests.keys.max() ?? 0)
        self.wait = wait
    }

    /// The newest step that is worth waiting for.
    var newestWanted: UInt64 { min(newestKnown, ceiling) }

    var waitingReason: String {
        if let choice { return "taking over step \(choice.state.step) from the workers" }
        return "looking for workers of step \(newestWanted), which is newer than the checkpoint"
    }
}

extension CoordinatorMachine {
    /// How long a worker may take to hand its state over.
    private var recallLimit: UInt64 { 60_000_000_000 }

    mutating func recover(now: UInt64) -> [CoordinatorAction] {
        guard recovery != nil else { return [] }
        let began = recovery!.began ?? now
        recovery!.began = began
        if let choice = recovery!.choice {
            guard now > choice.deadline else { return [] }
            let late =
                choice.partsReceived < configuration.snapshotParts || choice.awaitsHistory
                ? choice.donor : choice.owed.keys.sorted().first ?? choice.donor
            return evict(late, "did not hand over its state in time", .sessionBroken, now: now)
        }
        let choice = choose(now: now)
        let isOver = now >= began + recovery!.wait
        if let choice, choice.state.step >= recovery!.newestWanted || isOver {
            recall(choice)
            return []
        }
        guard isOver else { return [] }
        recovery = nil
        return [.keptCheckpoint] + order.flatMap { welcome($0, now: now) }
    }

    private var offers: [(WorkerID, Offer)] {
        order.compactMap { worker in
            members[worker]!.hello.run == configuration.run ? members[worker]!.hello.offer.map { (worker, $0) } : nil
        }
    }

    /// Whether the replica is that on record, where there is a record.
    private func isTrusted(_ offer: Offer) -> Bool {
        recovery!.knownDigests[offer.step].map { $0 == offer.digest } ?? true
    }

    /// The newest whole state on offer.
    private func choose(now: UInt64) -> Recovery.Choice? {
        let offers = self.offers
        let newest = min(configuration.totalSteps, recovery!.ceiling)
        let steps = Set(offers.map(\.1.step)).filter { $0 > step && $0 <= newest }
        for wanted in steps.sorted(by: >) {
            let atStep = offers.filter { $0.1.step == wanted }
            let trusted = atStep.filter { isTrusted($0.1) }
            let counts = Dictionary(grouping: trusted) { OfferedState($0.1) }.mapValues(\.count)
            guard let most = counts.values.max() else { continue }
            let states = counts.filter { $0.value == most }.keys
            guard states.count == 1, let state = states.first else { continue }
            let holdsHistory = { (offer: Offer) -> Bool in
                guard wanted > recovery!.newestKnown else { return true }
                return wanted - recovery!.newestKnown <= UInt64(Wire.maximumHistory)
                    && offer.historyFrom <= recovery!.newestKnown + 1
            }
            guard let donor = trusted.first(where: { OfferedState($0.1) == state && holdsHistory($0.1) })?.0 else {
                continue
            }
            var owed: [WorkerID: Set<Int>] = [:]
            // Also where the next step begins with zeros: a checkpoint of this one holds them.
            var missing = Set(0..<configuration.shards)
            let donorFirst = offers.filter { $0.0 == donor } + offers.filter { $0.0 != donor }
            for (worker, offer) in donorFirst {
                for carries in offer.carries where carries.step == wanted {
                    let found = missing.intersection(carries.shards.map(Int.init))
                    if !found.isEmpty { owed[worker, default: []].formUnion(found) }
                    missing.subtract(found)
                }
            }
            guard missing.isEmpty else { continue }
            return Recovery.Choice(state: state, donor: donor, owed: owed, deadline: now + recallLimit)
        }
        return nil
    }

    private mutating func recall(_ choice: Recovery.Choice) {
        recovery!.choice = choice
        for worker in Set(choice.owed.keys).union([choice.donor]).sorted() {
            members[worker]!.session.enqueue(
                .recall(
                    Recall(
                        step: choice.state.step, wantsReplica: worker == choice.donor,
                        shards: (choice.owed[worker] ?? []).sorted().map(UInt32.init),
                        historyFrom: recovery!.newestKnown + 1)))
        }
    }

    mutating func recalled(_ part: SnapshotPart, from worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        guard let choice = recovery?.choice else { return [.discard(worker, reason: "nobody asked for its replica")] }
        guard choice.donor == worker, part.step == choice.state.step, Int(part.part) == choice.partsReceived,
            choice.partsReceived < configuration.snapshotParts
        else { return unwanted("a replica", from: worker, now: now) }
        recovery!.choice!.partsReceived += 1
        return [.storeRecalledPart(choice.partsReceived)] + verifyIfWhole()
    }

    mutating func recalled(_ part: CarryPart, from worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        guard let choice = recovery?.choice else { return [.discard(worker, reason: "nobody asked for its carry")] }
        guard part.step == choice.state.step, choice.owed[worker]?.contains(Int(part.shard)) == true else {
            return unwanted("a carry", from: worker, now: now)
        }
        recovery!.choice!.owed[worker]!.remove(Int(part.shard))
        return [.storeRecalledCarry(Int(part.shard))] + verifyIfWhole()
    }

    mutating func recalled(_ records: [HistoryRecord], from worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        guard let choice = recovery?.choice else { return [.discard(worker, reason: "nobody asked for its history")] }
        let wanted =
            choice.state.step > recovery!.newestKnown
            ? Array(recovery!.newestKnown + 1...choice.state.step) : []
        guard choice.donor == worker, choice.awaitsHistory, records.map(\.step) == wanted else {
            return unwanted("a history", from: worker, now: now)
        }
        guard records.allSatisfy(\.isSound) else {
            return ban(worker, "the history that it handed over is not finite", now: now)
        }
        recovery!.choice!.awaitsHistory = false
        return [.storeHistory(records)] + verifyIfWhole()
    }

    /// Answers a worker that sent what the present choice does not wait for.
    ///
    /// A worker that an earlier choice asked may have sent it before it heard of this one: that is discarded. Any other
    /// is evicted. (An answer to the earlier choice that does fit is taken: it has the same bytes as the one to come.)
    private mutating func unwanted(_ what: String, from worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        guard recovery!.askedBefore.contains(worker) else {
            return evict(worker, "sent \(what) that it was not asked for", .protocolViolation, now: now)
        }
        return [.discard(worker, reason: "\(what) came that nobody waits for any more")]
    }

    private func verifyIfWhole() -> [CoordinatorAction] {
        guard let choice = recovery?.choice, choice.partsReceived == configuration.snapshotParts,
            !choice.awaitsHistory, choice.owed.values.allSatisfy(\.isEmpty)
        else { return [] }
        return [.verifyRecalled]
    }

    /// The state that was handed over has these digests.
    package mutating func recalled(digest: UInt64, stateDigest: UInt64, now: UInt64) -> [CoordinatorAction] {
        guard let choice = recovery?.choice else { return [] }
        guard digest == choice.state.digest, stateDigest == choice.state.stateDigest else {
            return ban(choice.donor, "the replica that it handed over is not what it offered", now: now)
        }
        recovery = nil
        step = choice.state.step
        recoveredState = choice.state
        digested(step: step, digest: digest)
        isFinished = step >= configuration.totalSteps
        awaitedUntil = now + max(10_000_000_000, configuration.silenceLimit)
        var actions: [CoordinatorAction] = [.recovered(step: step)]
        for worker in order {
            actions += welcome(worker, now: now)
            if members[worker]!.hello.offer.map(OfferedState.init) == choice.state { awaited.insert(worker) }
        }
        return actions + (isFinished ? [.finished] : []) + pump(now: now)
    }

    /// A worker is gone: what it was to hand over has to come from elsewhere.
    mutating func recallLost(_ worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        guard let choice = recovery?.choice, choice.donor == worker || choice.owed[worker] != nil else { return [] }
        recovery!.choice = nil
        recovery!.askedBefore.formUnion(choice.owed.keys)
        recovery!.askedBefore.insert(choice.donor)
        recovery!.askedBefore.remove(worker)
        return recover(now: now)
    }
}
