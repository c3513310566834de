// The open step: leases, the reduction, stragglers, the commit.
extension CoordinatorMachine {
    func isHeld(_ shard: Int) -> Bool { members.values.contains { $0.openShards.contains(shard) } }

    /// How fast the ready workers compute, as they say: how long their bytes are on the way depends little on their
    /// shares. As measured here where none says so. Of one that is not known yet, what its threads promise.
    var paces: [LeasePlan.Pace] {
        let ready = readyWorkers.map { members[$0]! }
        let isTold = ready.contains { $0.work != nil }
        func cost(_ member: Member) -> UInt64? { isTold ? member.work : member.cost }
        let known = ready.compactMap { member in cost(member).map { $0 * UInt64(member.hello.threads) } }
        let thread = known.isEmpty ? 1_000_000 : known.reduce(0, +) / UInt64(known.count)
        return readyWorkers.map { worker in
            let member = members[worker]!
            return (worker, cost(member) ?? max(1, thread / UInt64(member.hello.threads)))
        }
    }

    /// Hands the shards that nobody holds to the ready members.
    mutating func leaseWhatIsFree(now: UInt64) {
        guard !isRecovering, !isFinished, dispute == nil, awaited.isEmpty, !unleased.isEmpty, !readyWorkers.isEmpty
        else { return }
        if !hasStarted {
            guard readyWorkers.count >= configuration.minimumWorkers else { return }
            hasStarted = true
        }
        guard !isEvaluating else { return leaseSegments(now: now) }
        if unleased.count == configuration.shards {
            stepOpened = now
            replan()
            let isAudited = openAudit()
            for worker in order {
                if let shards = plan[worker], !shards.isEmpty { grant(shards, to: worker, now: now) }
            }
            if isAudited { leaseAudit() }
        } else {
            for (worker, shards) in LeasePlan.apportion(unleased.sorted(), among: paces) {
                grant(shards, to: worker, now: now)
            }
        }
        unleased = []
    }

    /// Shares all shards anew where the members changed, where that shortens the step by an eighth and more, or where
    /// fewer nodes do in the same time: each change costs the carries that move.
    private mutating func replan() {
        let paces = self.paces
        let fresh = LeasePlan.apportion(Array(0..<configuration.shards), among: paces, stepTime: stepTime)
        let ready = Set(paces.map(\.worker))
        let isComplete =
            plan.values.reduce(0) { $0 + $1.count } == configuration.shards && ready.isSubset(of: plan.keys)
        if isComplete {
            let now = LeasePlan.duration(plan.mapValues(\.count), paces)
            let then = LeasePlan.duration(
                Dictionary(uniqueKeysWithValues: fresh.map { ($0.worker, $0.shards.count) }), paces)
            let isFewer = nodes(fresh.map(\.shards)) < nodes(Array(plan.values))
            guard isFewer ? then <= now : then < now - min(now, max(now, stepTime) / 8) else { return }
        }
        plan = Dictionary(uniqueKeysWithValues: ready.map { ($0, []) })
        for (worker, shards) in fresh { plan[worker] = shards }
    }

    private func nodes(_ shards: [[Int]]) -> Int { shards.reduce(0) { $0 + tree.cover($1).count } }

    private mutating func grant(_ shards: [Int], to worker: WorkerID, now: UInt64) {
        let resets = step % configuration.carryPeriod == 0
        let carried = resets ? [] : shards.filter { !members[worker]!.carries.contains($0) }
        members[worker]!.grants.append(Grant(generation: generation, shards: Set(shards), time: now))
        // Granted again, a shard is open again.
        members[worker]!.reported.subtract(shards)
        let apart = audit.flatMap { audit in shards.contains(audit.shard) ? UInt32(audit.shard) : nil }
        members[worker]!.session.enqueue(
            .lease(
                Lease(
                    generation: generation, step: step, shards: shards.map(UInt32.init),
                    carried: carried.map(UInt32.init), resetsCarry: resets, apart: apart)))
    }

    /// Gives late leases to workers that have nothing to do. The first result wins; all would have the same bits.
    mutating func speculate(now: UInt64) -> [CoordinatorAction] {
        guard hasStarted, !isFinished, dispute == nil, !isRecovering else { return [] }
        let idle = paces.filter { members[$0.worker]!.openShards.subtracting(accepted).isEmpty }
        guard !idle.isEmpty, idle.count < readyWorkers.count else { return [] }
        // What others took bounds what is to be expected of one that was never measured.
        let slowest = members.values.compactMap(\.cost).max()
        var late: Set<Int> = []
        var inTime: Set<Int> = []
        for worker in order {
            let member = members[worker]!
            guard let grant = member.grants.last else { continue }
            let expected = (member.cost ?? slowest).map { $0.times(grant.shards.count) } ?? 10_000_000_000
            let open = member.openShards.subtracting(accepted)
            if now > grant.time + expected + expected / 2 + configuration.speculationFloor {
                late.formUnion(open)
            } else {
                inTime.formUnion(open)
            }
        }
        // Where all who hold a shard are late, whoever is idle gets it: those to whom it was given too may stand still.
        late.subtract(inTime)
        guard !late.isEmpty else { return [] }
        var names: [String] = []
        for (worker, shards) in LeasePlan.apportion(late.sorted(), among: idle) {
            grant(shards, to: worker, now: now)
            names.append(members[worker]!.hello.name)
        }
        return [.note("\(waitingReason(now: now) ?? "a lease is late"): given to \(names.joined(separator: ", ")) too")]
    }

    /// Whether what is to be audited comes by itself.
    private func isApart(_ shards: Range<Int>) -> Bool {
        shards.count == 1 || audit.map { !shards.contains($0.shard) } ?? true
    }

    mutating func gradient(
        _ part: GradientPart, digest: UInt64, isFinite: Bool, from worker: WorkerID, now: UInt64
    ) -> [CoordinatorAction] {
        guard part.step == step, part.generation >= firstGeneration else {
            return [.discard(worker, reason: "a gradient for step \(part.step) came in step \(step)")]
        }
        let chunk = Int(part.chunk)
        guard chunk < folds.count, let shards = tree.shards(part.node),
            members[worker]!.grants.contains(where: {
                $0.generation == part.generation && $0.shards.isSuperset(of: shards)
            }), isApart(shards)
        else { return evict(worker, "sent a gradient that it was not asked for", .protocolViolation, now: now) }
        guard isFinite else {
            return dispute(Dispute(step: step, shards: Array(shards), kind: .notFinite(from: sender(worker))))
        }
        members[worker]!.partsSeen += shards.count
        let changes = folds[chunk].insert(part.node)
        if changes.isEmpty { return [.discard(worker, reason: "a gradient came twice")] }
        if audit?.shard == shards.lowerBound, shards.count == 1 {
            audit!.values.chunks[chunk] = ShardValues.Chunk(digest: digest, sender: sender(worker))
        }
        if changes.last == .complete {
            completeChunks += 1
            for member in order where members[member]!.isWelcome {
                members[member]!.session.enqueue(.average(AveragePart(step: step, chunk: part.chunk)))
            }
        }
        return [.fold(chunk: chunk, changes: changes)]
    }

    mutating func nodeResult(
        _ result: NodeResult, digest: UInt64, isFinite: Bool, from worker: WorkerID, now: UInt64
    ) -> [CoordinatorAction] {
        guard result.step == step, result.generation >= firstGeneration else {
            return [.discard(worker, reason: "a result for step \(result.step) came in step \(step)")]
        }
        guard let shards = tree.shards(result.node), result.lossBits.count == shards.count,
            let grant = members[worker]!.grants.first(where: {
                $0.generation == result.generation && $0.shards.isSuperset(of: shards)
            }), isApart(shards)
        else { return evict(worker, "sent a result that it was not asked for", .protocolViolation, now: now) }
        guard folds.allSatisfy({ $0.covers(shards) }) else {
            return evict(worker, "sent a result before its gradient", .protocolViolation, now: now)
        }
        guard isFinite else {
            return dispute(Dispute(step: step, shards: Array(shards), kind: .notFinite(from: sender(worker))))
        }
        members[worker]!.reported.formUnion(shards)
        if grant == members[worker]!.grants.first, members[worker]!.reported.isSuperset(of: grant.shards) {
            measure(worker, max(1, now.since(grant.time) / UInt64(grant.shards.count)))
        }
        let fresh = shards.filter { accepted.insert($0).inserted }
        guard !fresh.isEmpty else { return [.discard(worker, reason: "a result came twice")] }
        unleased.subtract(fresh)
        var actions: [CoordinatorAction] = [.acceptShards(fresh)]
        if let audit, fresh == [audit.shard] {
            self.audit!.values.result = ShardValues.Result(
                lossBits: result.lossBits[0], carryDigest: digest, sender: sender(worker))
            actions += examineAudit()
        }
        return actions + commitIfComplete(now: now)
    }

    /// Half of what was known, half of what is new: quick to follow, and one hiccup moves no shards.
    private mutating func measure(_ worker: WorkerID, _ cost: UInt64) {
        members[worker]!.cost = members[worker]!.cost.map { ($0 + cost) / 2 } ?? cost
    }

    /// Takes in what a worker says of its computing in the step before, when it held the shards whose carries it has.
    mutating func told(_ times: ComputeTimes, by worker: WorkerID) {
        let shards = members[worker]!.carries.count
        guard shards > 0, times.forward > 0 else { return }
        // A peer's number, to be multiplied and summed up: 18 minutes for a shard, at most.
        let work = min(max(1, (times.forward + times.backward) / UInt64(shards)), 1 << 40)
        members[worker]!.work = members[worker]!.work.map { ($0 + work) / 2 } ?? work
    }

    mutating func commitIfComplete(now: UInt64) -> [CoordinatorAction] {
        guard !isFinished, completeChunks == folds.count, accepted.count == configuration.shards,
            audit?.isOpen != true, dispute == nil
        else { return [] }
        let committed = step
        for worker in order where members[worker]!.isWelcome {
            let member = members[worker]!
            if let grant = member.grants.first, !member.reported.isSuperset(of: grant.shards) {
                // Not done: it takes at least as long as it has taken so far.
                let soFar = now.since(grant.time) / UInt64(grant.shards.count)
                if soFar > member.cost ?? 0 { members[worker]!.cost = max(1, soFar) }
                if let work = member.work { members[worker]!.work = max(work, soFar) }
            } else if member.grants.isEmpty {
                // One that gets nothing is held to be a little better each step, so that it is tried again.
                members[worker]!.cost = member.cost.map { max(1, $0 - $0 / 32) }
                members[worker]!.work = member.work.map { max(1, $0 - $0 / 32) }
            }
            members[worker]!.session.enqueue(.commit(step: committed))
            members[worker]!.carries = member.reported
            members[worker]!.reported = []
            members[worker]!.grants = []
            members[worker]!.partsSeen = 0
        }
        step += 1
        let taken = now.since(stepOpened)
        stepTime = stepTime == 0 ? taken : (stepTime + taken) / 2
        stepOpened = now
        clearStep()
        openEvaluation(now: now)
        return [.commit(step: committed)] + openStep(now: now)
    }

    /// What follows a commit: its evaluation where one is due, the next step, or the end.
    mutating func openStep(now: UInt64) -> [CoordinatorAction] {
        guard step >= configuration.totalSteps, !isEvaluating else {
            leaseWhatIsFree(now: now)
            return []
        }
        isFinished = true
        return [.finished]
    }

    mutating func clearStep() {
        folds = Array(repeating: ChunkFold(tree: tree), count: configuration.chunks)
        completeChunks = 0
        accepted = []
        unleased = Set(0..<configuration.shards)
        recoveredState = nil
        audit = nil
        isAuditDrawn = false
    }

    /// What was sent for the open step cannot be trusted: all of it is computed again, to the bits that it should have
    /// had.
    mutating func restartStep() -> [CoordinatorAction] {
        generation += 1
        firstGeneration = generation
        clearStep()
        for worker in order where members[worker]!.isWelcome {
            members[worker]!.grants = []
            members[worker]!.reported = []
            members[worker]!.partsSeen = 0
            members[worker]!.session.withdraw { [step] item in
                switch item {
                case .average(let part): part.step == step
                case .lease: true
                default: false
                }
            }
            members[worker]!.session.enqueue(.restart(Restart(generation: generation, step: step)))
        }
        return [.abandonStep]
    }
}
