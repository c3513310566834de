// Joining, leaving, and replicas that differ.
extension CoordinatorMachine {
    /// The process behind a worker ended, or the transport cannot reach it.
    package mutating func lose(_ worker: WorkerID, _ reason: String, now: UInt64) -> [CoordinatorAction] {
        guard let member = members.removeValue(forKey: worker) else { return [] }
        order.removeAll { $0 == worker }
        generation += 1
        plan[worker] = nil
        awaited.remove(worker)
        // What was not finite was not taken over, so nothing is left to settle. What an audit doubts was.
        if case .notFinite(let sender)? = dispute?.kind, sender.worker == worker { dispute = nil }
        for shard in member.grants.flatMap(\.shards) where !accepted.contains(shard) && !isHeld(shard) {
            unleased.insert(shard)
        }
        segmentsLost(by: worker)
        let actions = [.evict(worker, reason: reason)] + examineAudit() + recallLost(worker, now: now)
        leaseWhatIsFree(now: now)
        return actions + commitIfComplete(now: now) + pump(now: now)
    }

    /// No more than so many workers will come: the first step waits for no others.
    package mutating func expectAtMost(_ workers: Int, now: UInt64) -> [CoordinatorAction] {
        configuration.minimumWorkers = max(1, min(configuration.minimumWorkers, workers))
        leaseWhatIsFree(now: now)
        return pump(now: now)
    }

    /// Ends the session of a worker whose message made no sense; it is told why.
    package mutating func violated(_ worker: WorkerID, _ reason: String, now: UInt64) -> [CoordinatorAction] {
        evict(worker, reason, .protocolViolation, now: now)
    }

    /// The coordinator's own replica holds `step` steps and has this digest.
    package mutating func digested(step: UInt64, digest: UInt64) {
        digests[step] = digest
        digests = digests.filter { $0.key + 16 > step }
        strangeDigests = strangeDigests.filter { $0.key + 16 > step }
    }

    /// Ends a worker's session for wrong bits, and lets it in no more.
    mutating func ban(_ worker: WorkerID, _ reason: String, now: UInt64) -> [CoordinatorAction] {
        members[worker] == nil ? [] : ban(sender(worker), reason, now: now)
    }

    /// The same for whoever was the sender: of one that is gone only the name is refused.
    mutating func ban(_ liar: Sender, _ reason: String, now: UInt64) -> [CoordinatorAction] {
        // Bounded, since a peer can lie about its name each time.
        if banned.count < configuration.maximumWorkers { banned[liar.identity] = reason }
        let ended = members[liar.worker] == nil ? [] : evict(liar.worker, reason, .replicaDiffers, now: now)
        return [.ban(liar.worker, name: liar.identity.name, host: liar.identity.host)] + ended
    }

    mutating func greeted(_ worker: WorkerID, _ hello: Hello, _ envelope: Envelope, now: UInt64)
        -> [CoordinatorAction]
    {
        func refuse(_ code: Refusal.Code, _ reason: String) -> [CoordinatorAction] {
            [.refuse(worker, Refusal(code: code, reason: reason))]
        }
        guard hello.run == 0 || hello.run == configuration.run else {
            return refuse(.otherRun, "this coordinator serves another run: start the worker anew to serve this one")
        }
        // Who serves no run has no say in who its coordinator is.
        guard hello.term <= configuration.term || hello.run == 0 else {
            return refuse(.otherRun, "this coordinator has been replaced by a newer one of the same run")
                + [
                    .fail(
                        reason: "worker \(hello.name) has already served a newer coordinator of this run: this one "
                            + "stops, so that one run has one coordinator", savesState: false)
                ]
        }
        if let reason = banned[Identity(hello)] {
            return refuse(.banned, "\(hello.name) on \(hello.host) was refused before: \(reason)")
        }
        guard members.count < configuration.maximumWorkers else {
            return refuse(.full, "\(members.count) workers are connected already")
        }
        var session = Session<CoordinatorItem>(credits: configuration.credits)
        guard worker != 0, session.receive(sequence: envelope.sequence, acknowledged: 0) == .inOrder else {
            return refuse(.sessionBroken, "the greeting came out of order")
        }
        // A process has one session: a new greeting ends the one before.
        let earlier = order.filter {
            let known = members[$0]!.hello
            return Identity(known) == Identity(hello) && known.process == hello.process
        }
        let ended = earlier.flatMap { lose($0, "joined anew", now: now) }
        members[worker] = Member(hello: hello, session: session, lastProgress: now, lastHeard: now, lastSent: now)
        order.append(worker)
        return ended + admit(worker, now: now)
    }

    private mutating func admit(_ worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        if isRecovering { return [stamped(worker, .heartbeat, now: now)] + recover(now: now) + pump(now: now) }
        return welcome(worker, now: now) + pump(now: now)
    }

    /// Lets a worker in: with a snapshot, or on the replica that it offered, where that is the present one.
    mutating func welcome(_ worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        members[worker]!.isWelcome = true
        members[worker]!.lastProgress = now
        var holdsReplica = false
        if let offer = members[worker]!.hello.offer, members[worker]!.hello.run == configuration.run {
            // What workers offered was compared in a recovery; afterwards a snapshot alone brings the optimizer's state.
            holdsReplica = offer.step == step && recoveredState == OfferedState(offer)
        }
        let parts = holdsReplica ? 0 : configuration.snapshotParts
        members[worker]!.session.enqueue(.welcome(step: step, snapshotParts: parts))
        for part in 0..<parts {
            members[worker]!.session.enqueue(.snapshot(SnapshotPart(step: step, part: UInt32(part))))
        }
        for (chunk, fold) in folds.enumerated() where fold.isComplete {
            members[worker]!.session.enqueue(.average(AveragePart(step: step, chunk: UInt32(chunk))))
        }
        return holdsReplica ? [] : [.takeSnapshot(worker, step: step)]
    }

    /// Ends the session of a worker that is heard and does not join: it would keep its place, and be sent every step.
    mutating func giveUpJoining(_ worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        let member = members[worker]!
        let what = member.awaitsSnapshot ? "takes no more of its snapshot" : "does not say that its replica stands"
        let reason = "\(what), for \(now.since(member.lastProgress) / 1_000_000_000) s"
        return [.complain("\(member.hello.name) from \(member.hello.host) has not joined, and is let go: it \(reason)")]
            + evict(worker, reason, .sessionBroken, now: now)
    }

    mutating func applied(_ applied: Applied, by worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        guard applied.step <= step else { return evict(worker, "is ahead of the run", .protocolViolation, now: now) }
        if let own = digests[applied.step], own != applied.digest {
            // Only a replica that was right before can bear witness against the coordinator's.
            let isWitness = members[worker]!.isReady
            let isAgreed = isWitness && strangeDigests[applied.step]?.contains(applied.digest) == true
            if isWitness { strangeDigests[applied.step, default: []].insert(applied.digest) }
            var actions = ban(
                worker, "its replica differs after step \(applied.step): check its memory, processor and build",
                now: now)
            if isAgreed {
                actions.append(
                    .fail(
                        reason: "two replicas agree with each other after step \(applied.step), and not with this "
                            + "coordinator: check its memory, processor and build; the checkpoints so far stand",
                        savesState: false))
            }
            return actions
        }
        guard members[worker]!.applied.map({ $0 < applied.step }) ?? true else {
            return evict(worker, "told twice of step \(applied.step)", .protocolViolation, now: now)
        }
        members[worker]!.applied = applied.step
        members[worker]!.lastProgress = now
        guard !members[worker]!.isReady else {
            if applied.step == step { told(applied.times, by: worker) }
            return []
        }
        // A replica that lags behind is ready when it has caught up.
        guard applied.step == step else { return [] }
        guard !members[worker]!.awaitsSnapshot else {
            return evict(worker, "told of a replica that it has not got", .protocolViolation, now: now)
        }
        members[worker]!.isReady = true
        awaited.remove(worker)
        generation += 1
        leaseWhatIsFree(now: now)
        return [.joined(worker)]
    }
}
